"""The page of figures says what the result files say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ringfence.plugins import build, find

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "plugins" / "boogeyman.md"
RESULTS = sorted((DOCS / "results").glob("boogeyman-*.jsonl"))

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the package stands alone: no docs")


def test_the_blocks_of_the_page_are_those_of_the_result_files():
    command = find("commands", "reproduce").load()
    told = ["--results", str(DOCS / "results"), "--into", str(PAGE), "--check"]
    done = CliRunner().invoke(command, told)

    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", ["figure1", "figure2"])
def test_the_plots_of_the_page_are_up_to_date(name):
    """Byte by byte, which holds for the matplotlib of Ringfence's constraints.txt."""
    pytest.importorskip("matplotlib")
    command = find("commands", "reproduce").load()
    own = DOCS / "plugins" / f"boogeyman-{name}.svg"
    told = [f"boogeyman/{name}", "--results", str(DOCS / "results"), "--plot", str(own), "--check"]
    done = CliRunner().invoke(command, told)

    assert done.exit_code == 0, done.output
    assert f"({own.name})" in PAGE.read_text()


def test_the_page_names_the_speed_that_was_measured():
    found = json.loads((DOCS / "results/speed/boogeyman-squeezenet64-cpu.json").read_text())
    text = " ".join(PAGE.read_text().split())

    assert f"{found['images_per_second']['verdict']:.0f} images a second" in text
    assert f"{found['of']['forward_in_blocks']:.2f} (" in text
    assert found["of"]["forward_in_blocks"] >= 0.9


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_a_result_is_of_a_version_of_this_package_and_names_no_folder(file):
    for line in file.read_text().splitlines():
        run = json.loads(line)["run"]

        own = run["defense"] or run["metric"]  # Table 6 needs nothing but the core's plugins
        assert run["versions"]["ringfence-boogeyman" if own else "ringfence"]
        assert '"/' not in line
        assert build("datasets", run["dataset"])

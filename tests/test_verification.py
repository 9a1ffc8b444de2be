"""From a finished run to a verdict on somebody's model, over the command line."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch
from attrs import define
from click.testing import CliRunner

from ringfence import artifact, evidence, exhibit, hookimpl, plugins, suspects, verification
from ringfence.answers import answer_format
from ringfence.case import Case
from ringfence.cli import main
from ringfence.errors import BadEvidence, BadOption
from ringfence.registration import FILE
from ringfence.service import Service
from ringfence.types import Evidence

RUN = ["run", "--dataset", "toy_blobs", "--attack", "toy_random_queries", "--budget", "300"]
RUN += ["--benign-clients", "2", "--labels", "hard", "--defense", "toy_watermark"]
RUN += ["-o", "toy_random_queries.epochs=60", "-o", "toy_mlp.width=256"]


def call(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two owners' runs, and one in which nothing was marked."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, rate in ((0, 0.3), (1, 0.3), (2, 0.0)):
        given = ["--seed", seed, "-o", f"toy_watermark.rate={rate}", "--cache", folder / "cache"]
        told = call(
            *RUN, *given, "-o", "toy_watermark.suspect_rate=0.3", "--out", folder / str(seed)
        )
        assert told.exit_code == 0, told.output
    return folder


def verify(runs, *more, suspect="0/stages/attack", ledger="0", controls=("1/stages/victim",)):
    args = ["verify", "--suspect", runs / suspect, "--ledger", runs / ledger]
    for control in controls:
        args += ["--control", runs / control]
    return call(*args, *(more or ("--verifier", "toy_watermark")))


CONTROLS = ("1/stages/victim", "2/stages/attack", "2/stages/victim")


def test_the_thief_is_found_and_another_owners_thief_is_not(runs):
    told = verify(runs, "--verifier", "toy_watermark", "--json", controls=CONTROLS)
    found = json.loads(told.stdout)

    assert told.exit_code == 0
    thief, *others = found["evidence"]
    assert thief["suspect"] == str(runs / "0/stages/attack")
    assert thief["stolen"]
    assert [one["suspect"] for one in others] == [f"control:{runs / one}" for one in CONTROLS]
    assert not any(one["stolen"] for one in others)
    assert found["ledger"]["clients"] == 3
    assert found["registration"]["ledger"] == found["registration"]["victim"] == "fits"
    assert found["registration"]["digest"] == json.loads((runs / "0" / FILE).read_text())["digest"]


def test_it_says_the_same_to_people(runs):
    lines = verify(runs).stdout.splitlines()

    assert lines[0].startswith("toy_watermark: ")
    assert lines[1].startswith("registered 20")
    assert lines[2] == "  the ledger fits; the victim fits too"
    assert f"{runs / '0/stages/attack'}: stolen, score 0." in lines[3]
    assert f"control:{runs / '1/stages/victim'}: not stolen" in lines[4]


def test_the_same_evidence_comes_from_a_file_of_weights(runs, tmp_path):
    value = artifact.load(runs / "0/stages/attack")["value"]["theft"]["weights"]
    safetensors.torch.save_file(value, tmp_path / "thief.safetensors")
    torch.save(value, tmp_path / "thief.pt")
    expected = json.loads(verify(runs, "--verifier", "toy_watermark", "--json").stdout)["evidence"]

    for name in ("thief.safetensors", "thief.pt"):
        case = Case(
            suspect=tmp_path / name,
            ledger=runs / "0",
            controls=(runs / "1/stages/victim",),
            verifier="toy_watermark",
        )
        found = verification.verify(case)["evidence"]

        assert found[0] == {**expected[0], "suspect": str(tmp_path / name)}
        assert found[1:] == expected[1:]


def test_a_run_says_of_the_same_suspect_what_verify_says(runs):
    told = json.loads((runs / "0/result.json").read_text())["evidence"]
    found = json.loads(verify(runs, "--verifier", "toy_watermark", "--json").stdout)["evidence"]

    substitute = next(one for one in told if one["suspect"] == "substitute")
    assert substitute["score"] == found[0]["score"]


def test_a_ledger_alone_is_enough_but_it_is_not_registered(runs, tmp_path):
    shutil.copytree(runs / "0/ledger", tmp_path / "ledger")

    alone = verify(runs, ledger=tmp_path / "ledger")
    shutil.copy(runs / "0" / FILE, tmp_path)
    registered = verify(runs, ledger=tmp_path / "ledger")

    assert "not registered: nobody can tell when this ledger was written" in alone.stdout
    assert "the ledger fits; the victim is not at hand" in registered.stdout
    assert alone.stdout.splitlines()[-2:] == registered.stdout.splitlines()[-2:]


def test_a_changed_ledger_proves_nothing(runs, tmp_path):
    shutil.copytree(runs / "1/ledger", tmp_path / "ledger")
    shutil.copy(runs / "0" / FILE, tmp_path)

    told = verify(runs, ledger=tmp_path)

    assert told.exit_code == 1
    assert "does not fit the ledger: something was changed after it" in told.output


def test_another_victim_is_seen(runs, tmp_path):
    shutil.copytree(runs / "0", tmp_path / "run")
    shutil.rmtree(tmp_path / "run/stages/victim")
    shutil.copytree(runs / "1/stages/victim", tmp_path / "run/stages/victim")

    assert "does not fit the victim" in verify(runs, ledger=tmp_path / "run").output


def test_evidence_that_accuses_a_control_says_that_it_accuses_nobody(runs, monkeypatch):
    judged = evidence.judge

    def guilty(*given):
        return [{**one, "stolen": True} for one in judged(*given)]

    monkeypatch.setattr(verification, "judge", guilty)

    assert verify(runs).stdout.splitlines()[-1].startswith("A control is found guilty too")


def test_a_finished_run_that_is_asked_again_keeps_its_registration(runs, tmp_path):
    shutil.copytree(runs / "0", tmp_path / "run")
    before = (tmp_path / "run" / FILE).read_bytes()
    given = ["-o", "toy_watermark.rate=0.3", "-o", "toy_watermark.suspect_rate=0.3"]
    given += ["--seed", 0, "--cache", runs / "cache", "--out", tmp_path / "run"]

    call(*RUN, *given)
    (tmp_path / "run/result.json").unlink()
    call(*RUN, *given)

    assert (tmp_path / "run/result.json").exists()
    assert (tmp_path / "run" / FILE).read_bytes() == before


def test_the_result_file_holds_no_time_of_registration(runs):
    time = json.loads((runs / "0" / FILE).read_text())["time"]

    assert time[:13] not in (runs / "0/result.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ledger": "2"}, "holds no ledger"),
        ({"ledger": "nowhere"}, "holds no ledger"),
        ({"suspect": "nowhere"}, "nowhere is not there"),
        ({"suspect": "0"}, "RUN/stages/attack is its substitute"),
        ({"suspect": "0/stages/benign"}, "RUN/stages/attack is its substitute"),
        ({"suspect": "0/result.json"}, "cannot be read"),
        ({"controls": ("0/run.json",)}, "cannot be read"),
    ],
    ids=str,
)
def test_wrong_files_are_told(runs, change, message):
    told = verify(runs, **change)

    assert told.exit_code == 1, told.output
    assert message in told.output
    assert told.output.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--verifier", "toy_blur"], 1, "'toy_blur' has no verify phase"),
        (["--verifier", "toy_watermrk"], 1, "Did you mean 'toy_watermark'?"),
        (["--verifier", "toy_watermark", "--device", "gpu"], 1, "is no device"),
        (["--verifier", "toy_watermark", "--owner-queries", "0"], 2, "not in the range"),
        (["--verifier", "toy_watermark", "-o", "toy_blur.share=0.5"], 1, "No plugin of this case"),
        (["--verifier", "toy_watermark", "-o", "toy_watermark.rat=1"], 1, "Did you mean 'rate'?"),
        ([], 2, "Missing option"),
    ],
    ids=str,
)
def test_wrong_words_are_told(runs, more, code, message):
    told = verify(runs, *more) if more else call("verify", "--suspect", "x")

    assert told.exit_code == code, told.output
    assert message in told.output
    assert "Traceback" not in told.output


def save(folder, classes=4, width=256, shape=(1, 8, 8), **changed):
    net = plugins.build("models", "toy_mlp", {"width": width}).make(classes, shape)
    file = folder / "weights.safetensors"
    safetensors.torch.save_file({**net.state_dict(), **changed}, file)
    return file


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"classes": 5}, r"tensor '3.bias' has shape \(5,\) where \(4,\) is expected"),
        ({"width": 8}, "tensor '1.bias' has shape"),
        ({"shape": (3, 8, 8)}, "tensor '1.weight' has shape"),
        ({"more": torch.zeros(1)}, "1 tensors are unknown, the first is 'more'"),
        ({"3.bias": torch.full((4,), torch.nan)}, "numbers that are not finite"),
    ],
    ids=str,
)
def test_a_suspect_that_does_not_fit_is_refused(runs, tmp_path, made, message):
    case = Case(
        suspect=save(tmp_path, **made),
        ledger=runs / "0",
        controls=(runs / "1/stages/victim",),
        verifier="toy_watermark",
    )

    with pytest.raises(Exception, match=message):
        verification.verify(case)


def test_the_architecture_of_a_file_may_be_said(runs, tmp_path):
    told = verify(
        runs,
        "--verifier",
        "toy_watermark",
        "-o",
        "toy_mlp.width=8",
        suspect=save(tmp_path, width=8),
        controls=(save(tmp_path, width=8),),
    )

    assert told.exit_code == 0, told.output
    named = verify(runs, "--verifier", "toy_watermark", "--model", "lenet5", suspect=save(tmp_path))
    assert "in 'lenet5'" in named.output or "lenet5" in named.output


def test_owner_queries_are_a_limit(runs):
    few = verify(runs, "--verifier", "toy_watermark", "--owner-queries", "1", "--json")

    assert json.loads(few.stdout)["evidence"][0]["score"] in (0.0, 1.0)


@define(eq=False)
class NeedsVictim:
    """A verifier that asks for the victim."""

    weights: int = 0

    @hookimpl
    def make_verifier(self, run, victim):
        self.weights = sum(one.numel() for one in victim.parameters())
        return self

    def verify(self, suspect, controls):
        return Evidence("it", float(self.weights), 1.0, False)


def test_a_verifier_gets_the_registered_victim_or_an_error(runs, tmp_path, monkeypatch):
    build = plugins.build

    def own(kind, name, given=None):
        return NeedsVictim() if name == "own" else build(kind, name, given)

    monkeypatch.setattr(plugins, "build", own)
    shutil.copytree(runs / "0/ledger", tmp_path / "ledger")
    named = {"suspect": runs / "0/stages/attack", "controls": (runs / "1/stages/victim",)}

    found = verification.verify(Case(**named, verifier="own", ledger=runs / "0"))
    with pytest.raises(BadEvidence, match="needs the victim"):
        verification.verify(Case(**named, verifier="own", ledger=tmp_path))

    assert found["evidence"][0]["score"] == 64 * 256 + 256 + 256 * 4 + 4


@define(eq=False)
class Kept:
    """A store that knows where its ledger comes from."""

    folder: object

    def exhibit(self):
        return exhibit.load(self.folder)


@define(eq=False)
class Far:
    """An oracle plugin behind which the thief's model answers."""

    model: object

    def connect(self, serve):
        return Service(self.model, format=answer_format("hard"))


def test_a_store_may_be_the_ledger_and_an_address_the_suspect(runs, monkeypatch):
    expected = json.loads(verify(runs, "--verifier", "toy_watermark", "--json").stdout)["evidence"]
    thief = suspects.find(runs / "0/stages/attack")
    model = suspects.build(thief, "toy_mlp", thief.options, suspects.Size(4, (1, 8, 8)))
    build, installed = plugins.build, plugins.installed
    own = {"kept:it": Kept(runs / "0/ledger"), "http:https://far/it": Far(model)}

    monkeypatch.setattr(plugins, "build", lambda k, n, g=None: own.get(n) or build(k, n, g))
    monkeypatch.setattr(plugins, "installed", lambda kind: {**installed(kind), "kept": None})
    controls = (runs / "1/stages/victim",)
    case = Case(
        suspect="https://far/it", ledger="kept:it", controls=controls, verifier="toy_watermark"
    )
    found = verification.verify(case)

    assert found["evidence"][0] == {**expected[0], "suspect": "https://far/it"}
    assert found["registration"] is None


def test_a_store_without_evidence_is_no_ledger(runs):
    with pytest.raises(BadOption, match="has no variants"):
        verification.verify(
            Case(suspect=runs, ledger="memory:x", controls=(runs,), verifier="toy_watermark")
        )

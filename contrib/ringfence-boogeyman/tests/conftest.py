"""A data root with a few pictures of each set, in its published layout."""

from __future__ import annotations

import pytest
from PIL import Image

STAGES = [0, 0, 0, 0, 0, 0, 1, 0, 2, 3, 0, 4]  # of six patients' left and right eyes


def picture(path, shade, size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, shade // 2, 255 - shade)).save(path)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for number in range(1, 258):
        name = "257.clutter" if number == 257 else f"{number:03}.thing-{number}"
        for row in range(3):
            picture(root / "256_ObjectCategories" / name / f"{row}.jpg", number % 256)
    for category in ("ak47", "toad"):
        for row in range(10):
            picture(root / "bing" / category / f"{row}.jpg", row * 20)
    for row in range(10):
        picture(root / "openimages" / f"{row}.jpg", row * 20)
    birds(root / "CUB_200_2011")
    retinas(root / "diabetic5")
    return root


def birds(folder):
    names = [f"{bird:03}.bird/{row}.jpg" for bird in (1, 200) for row in range(3)]
    for row, name in enumerate(names):
        picture(folder / "images" / name, 40 * row)
    listed = [f"{row} {name}" for row, name in enumerate(names, 1)]
    (folder / "images.txt").write_text("\n".join(listed) + "\n")
    sides = [f"{row} {int(row % 3 != 1)}" for row in range(1, 7)]
    (folder / "train_test_split.txt").write_text("\n".join(sides) + "\n")


def retinas(folder):
    lines = ["image,level"]
    for row, stage in enumerate(STAGES):
        name = f"{10 + row // 2}_{'left' if row % 2 == 0 else 'right'}"
        picture(folder / "train" / f"{name}.jpeg", 20 * row)
        lines.append(f"{name},{stage}")
    (folder / "trainLabels.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(autouse=True)
def data_root(request, monkeypatch):
    """Let what loads a set by its name find the pictures."""
    if "contract" in request.fixturenames or "pictures" in request.fixturenames:
        root = request.getfixturevalue("pictures")
        monkeypatch.setenv("RINGFENCE_DATA", str(root))

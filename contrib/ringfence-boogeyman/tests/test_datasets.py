"""Data sets in their published layouts, and what is said where they are absent or damaged."""

from __future__ import annotations

import shutil

import pytest
import torch
from ringfence_boogeyman.datasets.balance import balanced
from ringfence_boogeyman.datasets.bing import Bing
from ringfence_boogeyman.datasets.caltech256 import Caltech256
from ringfence_boogeyman.datasets.cubs import Cubs
from ringfence_boogeyman.datasets.diabetic5 import Diabetic5
from ringfence_boogeyman.datasets.openimages import OpenImages

from ringfence.errors import DamagedData, MissingData
from ringfence.types import Split

SIZES = {
    Caltech256: (512, 256, 256),
    Bing: (16, 4, 2),
    OpenImages: (8, 2, 1),
    Cubs: (4, 2, 200),
    Diabetic5: (10, 2, 5),
}


@pytest.mark.parametrize("kind", SIZES, ids=lambda kind: kind.__name__)
def test_sizes_are_those_of_the_folders(kind, pictures):
    options = {"balance": False} if kind is Diabetic5 else {}
    data = kind(size=8, **options).load(pictures, True)

    assert (len(data.train), len(data.test), data.num_classes) == SIZES[kind]
    assert data.train.images.shape[1:] == (3, 8, 8)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Caltech256, r"256_ObjectCategories/001\.ak47/\*\.jpg to .*256\.toad"),
        (Bing, r"bing/<category>/\*\.jpg, one folder for each"),
        (OpenImages, r"openimages/\*\.jpg"),
        (Cubs, r".*images/001\.Black_footed_Albatross/.*; CUB_200_2011/images\.txt; .*split\.txt"),
        (Diabetic5, r"diabetic5/train/<patient>_left\.jpeg .*; diabetic5/trainLabels\.csv"),
    ],
)
def test_where_a_set_is_absent_the_error_says_how_its_files_lie(kind, expected, tmp_path):
    with pytest.raises(MissingData, match=f"Expected: {expected}.*--data-root") as told:
        kind().load(tmp_path, False)

    assert str(tmp_path) in str(told.value)


def test_the_root_is_the_one_given_else_the_variables(pictures, tmp_path):
    assert len(Bing(size=8).load(None, True).train) == 16
    with pytest.raises(MissingData):
        Bing().load(tmp_path, True)


def test_limits_take_pictures_evenly_spaced(pictures):
    limited = Bing(size=8, limit=5).load(pictures, True)

    assert (len(limited.train), len(limited.test)) == (8, 2)
    assert len(OpenImages(size=8, limit=4).load(pictures, True).train) == 3


def test_clutter_is_none_of_the_256(pictures):
    labels = Caltech256(size=8).load(pictures, True).train.labels

    assert labels.max() == 255
    assert labels.bincount().tolist() == [2] * 256


def test_birds_are_split_as_published_and_numbered_as_their_folders(pictures):
    data = Cubs(size=8).load(pictures, True)

    assert data.train.labels.tolist() == [0, 0, 199, 199]
    assert data.test.labels.tolist() == [0, 199]
    reds = data.test.images[:, 0].float().mean((1, 2))
    assert reds == pytest.approx([0, 120], abs=4)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("images.txt", "1 ../../etc/1.jpg", "no picture of a numbered bird"),
        ("images.txt", "1 /etc/1.jpg", "no picture of a numbered bird"),
        ("images.txt", "1 201.bird/1.jpg", "none of the birds 1 to 200"),
        ("images.txt", "9 001.bird/1.jpg", "do not list the same pictures"),
        ("train_test_split.txt", "1", "not every line"),
    ],
)
def test_lists_of_birds_that_point_elsewhere_are_damaged(file, line, message, pictures, tmp_path):
    shutil.copytree(pictures / "CUB_200_2011", tmp_path / "CUB_200_2011")
    listing = tmp_path / "CUB_200_2011" / file
    rest = listing.read_text().splitlines()[1:]
    listing.write_text("\n".join([line, *rest]))

    with pytest.raises(DamagedData, match=message):
        Cubs(size=8).load(tmp_path, True)


def test_a_patients_eyes_are_on_one_side_and_copies_stay_with_them(pictures):
    data = Diabetic5(size=8).load(pictures, True)

    assert data.test.labels.tolist() == [2, 3]  # the fifth patient of six
    assert 14 not in data.groups
    assert len(data.groups) == len(data.train)
    assert data.groups.unique().tolist() == [10, 11, 12, 13, 15]


def test_rarer_stages_get_six_of_each_and_the_most_frequent_one_two(pictures):
    data = Diabetic5(size=8).load(pictures, True)

    assert data.train.labels.bincount().tolist() == [16, 6, 0, 0, 6]


def test_copies_are_mirrored_and_turned_and_the_originals_come_first():
    images = torch.zeros(3, 3, 9, 9, dtype=torch.uint8)
    images[:, :, 0, 1:4] = 200
    made, groups = balanced(Split(images, torch.tensor([0, 0, 1])), torch.tensor([7, 8, 9]))

    assert made.labels.tolist() == [0, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    assert groups.tolist() == [7, 8, 9, 7, 8, 9, 9, 9, 9, 9]
    assert torch.equal(made.images[:3], images)
    assert torch.equal(made.images[5], images[2].flip(-1))
    assert torch.equal(made.images[6], images[2].rot90(1, (1, 2)))
    third = made.images[7].float()
    assert 0 < third.sum() < images[2].float().sum() * 1.5
    assert third[:, 0].sum() < third.sum() / 2, "the stroke left its edge"
    assert torch.equal(made.images[9], images[2].rot90(3, (1, 2)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,level\n10_left,5\n", "stage 5 of 10_left.jpeg"),
        ("image,level\nleft,1\n", "ValueError"),
        ("a,b\n1,2\n", "KeyError"),
        ("image,level\n10_left,0\n10_right,0\n", "1 patients"),
    ],
)
def test_a_damaged_list_of_retinas_is_named(text, message, pictures, tmp_path):
    shutil.copytree(pictures / "diabetic5", tmp_path / "diabetic5")
    (tmp_path / "diabetic5" / "trainLabels.csv").write_text(text)

    with pytest.raises(DamagedData, match=rf"trainLabels\.csv is damaged: .*{message}"):
        Diabetic5(size=8).load(tmp_path, True)


def test_a_list_cannot_point_out_of_the_folder(pictures, tmp_path):
    shutil.copytree(pictures / "diabetic5", tmp_path / "diabetic5")
    (tmp_path / "10_left.jpeg").write_bytes(b"secret")
    listing = tmp_path / "diabetic5" / "trainLabels.csv"
    listing.write_text(listing.read_text().replace("10_left", "../../10_left"))

    assert len(Diabetic5(size=8, balance=False).load(tmp_path, True).train) == 10


def test_a_picture_that_is_none_is_named(pictures, tmp_path):
    shutil.copytree(pictures / "openimages", tmp_path / "openimages")
    (tmp_path / "openimages" / "3.jpg").write_bytes(b"GIF89a")
    with pytest.raises(DamagedData, match=r"3\.jpg is damaged"):
        OpenImages(size=8).load(tmp_path, True)


def test_a_picture_of_too_many_pixels_is_not_decoded(pictures, tmp_path, monkeypatch):
    from ringfence_boogeyman.datasets import pictures as decoder

    monkeypatch.setattr(decoder, "PIXELS", 60)
    with pytest.raises(DamagedData, match="9x7 are more than 60"):
        OpenImages(size=8).load(pictures, True)


def test_folders_of_too_few_pictures_or_categories_are_named(pictures, tmp_path):
    for kind, folder in ((Caltech256, "256_ObjectCategories"), (Bing, "bing/ak47")):
        (tmp_path / folder).mkdir(parents=True)
        with pytest.raises(DamagedData, match="it holds 0"):
            kind(size=8).load(tmp_path, True)

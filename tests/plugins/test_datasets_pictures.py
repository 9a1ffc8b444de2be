"""Sets of picture files, which may come from anybody, and the sets in ../shared/data."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ringfence import plugins
from ringfence.errors import BadOption, DamagedData, MissingData
from ringfence_vision.datasets import folders, imagenette, pictures

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
random = np.random.default_rng(0)


def load(name, root, **options):
    return plugins.build("datasets", name, options).load(root, offline=True)


def picture(file, width=40, height=30, mode="RGB", **options):
    """Write noise, other noise each time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (height, width, bands) if bands > 1 else (height, width)
    Image.fromarray(random.integers(256, size=shape).astype(np.uint8)).convert(mode).save(
        file, **options
    )
    return file


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge(file, width, height):
    """Write a PNG of a few bytes that says it has so many pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)))


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".png", {}), (".ppm", {}), (".bmp", {}), (".webp", {"lossless": True}), (".PNG", {})],
)
def test_a_lossless_picture_of_the_right_size_is_read_as_it_is(suffix, options, tmp_path):
    file = picture(tmp_path / f"a{suffix}", 24, 24, **options)
    pixels = torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1)

    assert torch.equal(pictures.load([file], 24)[0], pixels)


@pytest.mark.parametrize("size", [(40, 30), (30, 41), (33, 33), (200, 24)])
def test_the_shorter_side_is_scaled_and_the_middle_kept(size, tmp_path):
    file = picture(tmp_path / "a.png", *size)
    with Image.open(file) as image:  # smooth: cut and scaling then hardly depend on their order
        image.resize((4, 3)).resize(size, Image.Resampling.BICUBIC).save(file)
        scale = 24 / min(size)
        whole = Image.open(file).resize(
            (round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR
        )
    left, top = (whole.width - 24) / 2, (whole.height - 24) / 2
    expected = np.asarray(whole.crop((int(left), int(top), int(left) + 24, int(top) + 24)))
    found = pictures.load([file], 24)[0].permute(1, 2, 0).numpy()

    assert np.abs(found.astype(int) - expected).mean() < 4


def test_many_pictures_keep_their_order(tmp_path):
    files = [picture(tmp_path / f"{i}.png", 8, 8) for i in range(50)]
    together = pictures.load(files, 8)

    assert torch.equal(together, torch.cat([pictures.load([file], 8) for file in files]))
    assert together.is_contiguous()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode_becomes_the_wanted_channels(mode, channels, tmp_path):
    Image.new("RGB", (8, 8), (204, 204, 204)).convert(mode).save(tmp_path / "a.png")
    images = pictures.load([tmp_path / "a.png"], 8, channels)

    assert images.shape == (1, channels, 8, 8)
    assert mode == "1" or images.unique().tolist() == [204]  # of Pillow's palette


def test_a_palette_with_transparency_becomes_colour_without_a_warning(tmp_path):
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30] * 2)
    image.save(tmp_path / "a.png", transparency=b"\x00\x80")

    assert pictures.load([tmp_path / "a.png"], 8)[0, :, 0, 0].tolist() == [10, 20, 30]


def test_a_picture_one_pixel_high_does_not_grow_without_bound(tmp_path):
    Image.new("L", (1_000_000, 1), 7).save(tmp_path / "thin.png")

    assert pictures.load([tmp_path / "thin.png"], 64).unique().tolist() == [7]


def sixteen_bits(file):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(file)


def truncated(file):
    picture(file)
    file.write_bytes(file.read_bytes()[:-400])


def text(file):
    file.write_text("not found")


def empty(file):
    file.touch()


def gif_by_content(file):
    picture(file, format="GIF", mode="P")


def too_many_pixels(file):
    huge(file, 7_200, 7_200)


def bomb_for_a_warning(file):
    huge(file, 10_000, 10_000)


def bomb_for_an_error(file):
    huge(file, 60_000, 60_000)


HARMS = [sixteen_bits, truncated, text, empty, gif_by_content]
HARMS += [too_many_pixels, bomb_for_a_warning, bomb_for_an_error]


@pytest.mark.parametrize("harm", HARMS)
def test_a_picture_that_is_refused_is_named(harm, tmp_path):
    sound, bad = picture(tmp_path / "sound.png"), tmp_path / "bad.png"
    harm(bad)
    with pytest.raises(DamagedData, match=r"bad\.png is damaged: .*Delete it"):
        pictures.load([sound, bad, sound], 8)


@pytest.mark.parametrize("harm", [too_many_pixels, bomb_for_a_warning, bomb_for_an_error])
def test_a_bomb_is_refused_for_its_pixels_before_it_is_decoded(harm, tmp_path):
    harm(tmp_path / "bomb.png")
    with pytest.raises(DamagedData, match="pixels"):
        pictures.load([tmp_path / "bomb.png"], 8)


@pytest.mark.parametrize("length", [1, 2, 5, 36])
@pytest.mark.parametrize("size", [0, 1, 3, 36, 50])
def test_spaced_indices_are_distinct_sorted_and_inside(length, size):
    indices = folders.spaced(length, size)

    assert len(indices) == min(length, size)
    assert indices == sorted(set(indices))
    assert set(indices) <= set(range(length))


def test_a_fifth_of_each_class_is_held_out():
    labels = torch.tensor([0] * 10 + [1] * 1 + [2] * 2 + [3] * 36)
    held = folders.held_out(labels)

    assert [int(held[labels == label].sum()) for label in range(4)] == [2, 0, 1, 7]


def test_a_folder_without_splits_is_cut_into_fixed_parts(tmp_path):
    for name in ("zebra", "ape"):
        for i in range(10):
            picture(tmp_path / "own" / name / f"{i}.png")
    data, again = (load("imagefolder", tmp_path, path="own", size=16) for _ in range(2))

    assert data.train.images.shape == (16, 3, 16, 16)
    assert data.train.labels.tolist() == [0] * 8 + [1] * 8
    assert data.test.labels.tolist() == [0] * 2 + [1] * 2
    assert torch.equal(data.test.images, again.test.images)
    assert data.num_classes == 2


@pytest.mark.parametrize(("present", "taken"), [(["val"], "val"), (["val", "test"], "test")])
def test_train_and_test_folders_are_the_splits(present, taken, tmp_path):
    for part in ["train", *present]:
        for name in ("a", "b"):
            picture(tmp_path / part / name / "1.jpg")
    data = load("imagefolder", tmp_path, path=str(tmp_path), size=8)
    expected = pictures.load([tmp_path / taken / name / "1.jpg" for name in ("a", "b")], 8)

    assert torch.equal(data.test.images, expected)
    assert data.test.labels.tolist() == [0, 1]


def test_a_class_that_only_the_test_folder_has_is_an_error(tmp_path):
    picture(tmp_path / "train/a/1.png")
    picture(tmp_path / "val/c/1.png")
    with pytest.raises(DamagedData, match=r"val/c is damaged: there is no class"):
        load("imagefolder", tmp_path, path=".", size=8)


def test_limit_and_channels_are_kept(tmp_path):
    for i in range(9):
        picture(tmp_path / "a" / f"{i}.png", 8, 8, mode="L")
    picture(tmp_path / "b/1.png", 8, 8)
    data = load("imagefolder", tmp_path, path=".", size=8, channels=1, limit=3)
    kept = pictures.load([tmp_path / "a" / f"{i}.png" for i in (1, 4, 7)], 8, 1)

    assert data.train.images.shape == (3, 1, 8, 8)
    assert data.test.images.shape == (1, 1, 8, 8)
    assert torch.equal(
        torch.cat((data.train.images[:1], data.test.images, data.train.images[1:2])), kept
    )


def test_other_files_and_hidden_folders_are_passed_over(tmp_path):
    for name in ("a/1.png", "a/2.png", "a/.3.png", ".hidden/1.png"):
        picture(tmp_path / name)
    (tmp_path / "a/notes.txt").touch()
    (tmp_path / "list.csv").touch()
    (tmp_path / "a/folder.png").mkdir()
    data = load("imagefolder", tmp_path, path=".", size=8)

    assert (len(data.train), len(data.test), data.num_classes) == (1, 1, 1)


@pytest.mark.parametrize("path", ["absent", "file", "."])
def test_a_folder_without_classes_is_missing(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MissingData, match=r"expected a folder per class.*--data-root"):
        load("imagefolder", tmp_path, path=path)


def test_an_empty_class_folder_is_named(tmp_path):
    picture(tmp_path / "a/1.png")
    (tmp_path / "b").mkdir()
    with pytest.raises(DamagedData, match=r"/b is damaged: it holds no image"):
        load("imagefolder", tmp_path, path=".")


def test_imagefolder_without_a_path_says_how_to_name_one(tmp_path):
    with pytest.raises(BadOption, match="imagefolder:FOLDER"):
        load("imagefolder", tmp_path)


@pytest.fixture
def signs(tmp_path):
    """GTSRB as torchvision lays it out: two tracks of two frames in each of three classes."""
    base = tmp_path / "gtsrb"
    for label in (0, 1, 42):
        for track in (0, 1):
            for frame in (0, 1):
                name = f"{track:05}_{frame:05}.ppm"
                picture(base / "GTSRB/Training" / f"{label:05}" / name, 20 + label, 25)
    (base / "GTSRB/Training/00000/GT-00000.csv").touch()
    picture(base / "GTSRB/Final_Test/Images/00000.ppm")
    picture(base / "GTSRB/Final_Test/Images/00001.ppm")
    lines = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    lines += ["00000.ppm;53;54;6;5;48;49;42", "00001.ppm;53;54;6;5;48;49;1"]
    (base / "GT-final_test.csv").write_text("\r\n".join(lines))
    return base


def test_signs_of_any_size_become_one_size_and_tracks_groups(signs, tmp_path):
    data = load("gtsrb", tmp_path)

    assert data.train.images.shape == (12, 3, 32, 32)
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [42] * 4
    assert data.test.labels.tolist() == [42, 1]
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert (data.num_classes, data.marks) == (43, ("subset",))


@pytest.mark.parametrize(
    ("path", "content", "blamed"),
    [
        ("GT-final_test.csv", "Filename;ClassId\n00000.ppm;43", "labels 43 to 43"),
        ("GT-final_test.csv", "Filename;ClassId\n00009.ppm;1", r"00009\.ppm is damaged"),
        ("GT-final_test.csv", "Filename;ClassId\n../../x.ppm;1", r"Images/x\.ppm is damaged"),
        ("GT-final_test.csv", "Filename;ClassId\n00000.ppm;one", r"test\.csv is damaged"),
        ("GT-final_test.csv", "Filename,ClassId\n00000.ppm,1", r"test\.csv is damaged"),
        ("GT-final_test.csv", "", r"test\.csv is damaged: 0 labels"),
        ("GT-final_test.csv", "\udcff", r"test\.csv is damaged: Unicode"),
        ("GTSRB/Training/00000/sign.ppm", "P6", r"sign\.ppm is damaged"),
        ("GTSRB/Training/stop/1.txt", "", "stop is damaged: not one of the classes"),
    ],
)
def test_damaged_files_of_signs_are_named(signs, tmp_path, path, content, blamed):
    (signs / path).parent.mkdir(exist_ok=True)
    (signs / path).write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DamagedData, match=blamed):
        load("gtsrb", tmp_path)


@pytest.fixture
def nette(tmp_path):
    """Two versions of Imagenette with one picture per class and split."""
    for size in (224, 320):
        for part in ("train", "val"):
            for label in range(10):
                file = tmp_path / f"imagenette2-{size}/{part}/n{label:08}/1.JPEG"
                picture(file, size + 9, size, mode="L" if label else "RGB")
    return tmp_path


def test_imagenette_is_square_and_the_larger_files_win(nette):
    data = load("imagenette", nette)
    first = pictures.load([nette / "imagenette2-320/train/n00000000/1.JPEG"], 224)

    assert data.train.images.shape == data.test.images.shape == (10, 3, 224, 224)
    assert torch.equal(data.train.images[:1], first)
    assert data.marks == ("subset",)


def test_the_whole_imagenette_carries_no_mark(nette, monkeypatch):
    monkeypatch.setattr(imagenette, "WHOLE", 20)

    assert load("imagenette", nette).marks == ()


def test_imagenette_has_ten_classes(nette):
    picture(nette / "imagenette2-320/val/n10/1.JPEG")
    with pytest.raises(DamagedData, match="val is damaged: it holds 11 classes"):
        load("imagenette", nette)


@pytest.fixture
def cifar_subset(tmp_path):
    for label in range(100):
        for i in range(2):
            picture(tmp_path / "cifar-100-test-subset" / f"c{label:02}" / f"{i}.png", 32, 32)
    return tmp_path


def test_the_subset_of_cifar_100_stands_in_and_is_marked(cifar_subset):
    data = load("cifar100", cifar_subset)

    assert data.train.labels.tolist() == data.test.labels.tolist() == [*range(100)]
    assert (data.num_classes, data.marks) == (100, ("subset",))


def test_the_subset_does_not_hide_an_incomplete_set(cifar_subset):
    (cifar_subset / "cifar-100-python").mkdir()
    with pytest.raises(MissingData, match="cifar-100-python/train"):
        load("cifar100", cifar_subset)


def test_a_subset_of_other_classes_is_damaged(cifar_subset):
    picture(cifar_subset / "cifar-100-test-subset/another/1.png")
    with pytest.raises(DamagedData, match="101 classes instead of 100"):
        load("cifar100", cifar_subset)


REAL = [  # name, train, test, classes, shape, marks
    ("mnist", 60_000, 10_000, 10, (1, 28, 28), ()),
    ("fashionmnist", 60_000, 10_000, 10, (1, 28, 28), ()),
    ("cifar10", 50_000, 10_000, 10, (3, 32, 32), ()),
    ("cifar100", 2_900, 700, 100, (3, 32, 32), ("subset",)),
    ("gtsrb", 1_892, 645, 43, (3, 32, 32), ("subset",)),
    ("imagenette", 1_000, 300, 10, (3, 224, 224), ("subset",)),
    ("imagefolder:caltech101-subset", 95, 95, 95, (3, 224, 224), ()),
]


@pytest.mark.parametrize(("name", "train", "test", "classes", "shape", "marks"), REAL)
def test_the_shared_sets_load(name, train, test, classes, shape, marks):
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    if name == "cifar10" and not (SHARED / "cifar-10-batches-py").is_dir():
        pytest.skip("CIFAR-10 is not in ../shared/data yet")
    name, _, path = name.partition(":")
    data = load(name, SHARED, **({"path": path} if path else {}))

    assert data.train.images.shape == (train, *shape)
    assert data.test.images.shape == (test, *shape)
    assert {s.images.dtype for s in (data.train, data.test)} == {torch.uint8}
    assert len(data.train.labels.unique()) == len(data.test.labels.unique()) == classes
    assert (data.num_classes, data.marks) == (classes, marks)
    assert data.train.images.float().std() > 30
    if data.groups is not None:
        pairs = torch.stack((data.groups, data.train.labels), 1).unique(dim=0)
        assert len(pairs) == len(data.groups.unique())  # a track belongs to one class

"""What every data set keeps, where data are looked for, and the sets that need no file."""

from __future__ import annotations

import gzip
import hashlib
import socket
import struct
import threading
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError

import attrs
import pytest
import torch

from ringfence import plugins
from ringfence.errors import MissingData, RingfenceError
from ringfence.recipe import Recipe
from ringfence_vision.datasets import glyphs, root

KEYS = {"model", "pool", "outliers", "seeds", "budget", "recipe"}
OF_FILES = [
    "cifar10",
    "cifar100",
    "emnist",
    "fashionmnist",
    "gtsrb",
    "imagenette",
    "kmnist",
    "mnist",
    "svhn",
]
NAMES = sorted([*OF_FILES, "digits", "glyphs", "imagefolder"])


def build(name, **options):
    return plugins.build("datasets", name, options)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_name_installed_plugins_and_known_fields(name):
    defaults = getattr(type(build(name)), "defaults", {})
    named = [defaults[key] for key in ("pool",) if key in defaults]
    for dataset in [*named, *defaults.get("outliers", ())]:
        dataset, _, part = dataset.partition(":")
        assert dataset in plugins.installed("datasets")
        if part:
            build(dataset, **{type(build(dataset)).variant: part})

    assert set(defaults) <= KEYS
    assert defaults.get("model") in {None, *plugins.installed("models")}
    assert isinstance(defaults.get("outliers", ()), tuple)
    assert set(defaults.get("budget", ())) in (set(), {"synthetic", "pool"})
    Recipe(**defaults.get("recipe", {}))


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_means(name):
    assert all(field.metadata["help"] for field in attrs.fields(type(build(name))))


@pytest.mark.parametrize("name", NAMES)
def test_a_part_after_a_colon_sets_an_option(name):
    cls = type(build(name))

    assert getattr(cls, "variant", None) in {None, *(f.name for f in attrs.fields(cls))}


def test_root_is_the_option_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(root.VARIABLE, raising=False)
    cache = root.data_root(None)
    monkeypatch.setenv(root.VARIABLE, str(tmp_path / "variable"))

    assert cache.parts[-2:] == ("ringfence", "data")
    assert root.data_root(None) == tmp_path / "variable"
    assert root.data_root(tmp_path / "option") == tmp_path / "option"


@pytest.mark.parametrize("name", OF_FILES)
def test_offline_nothing_is_tried_and_the_message_says_what_is_expected_where(name, tmp_path):
    with pytest.raises(
        MissingData, match=r"expected .*No download was tried.*--data-root"
    ) as error:
        build(name).load(tmp_path, offline=True)

    assert repr(name) in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", OF_FILES)
def test_a_failed_download_says_why_and_leaves_nothing(name, tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(MissingData, match=r"download failed .*no route.*--data-root") as error:
        build(name).load(tmp_path, offline=False)

    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_download_broken_off_leaves_nothing(tmp_path):
    def fetch(staging):
        (staging / "a").write_text("whole")
        (staging / "b").write_text("hal")
        raise OSError("reset by peer")

    with pytest.raises(MissingData, match="reset by peer"):
        root.obtain("some", tmp_path, False, ["a", "b"], fetch)

    assert not list(tmp_path.iterdir())


def test_a_download_brings_what_was_absent_and_keeps_what_was_there(tmp_path):
    def fetch(staging):
        (staging / "deep/er").mkdir(parents=True)
        for name in ("here", "deep/er/file", "archive.zip"):
            (staging / name).write_text("new")

    (tmp_path / "here").write_text("old")
    found = root.obtain("some", tmp_path, False, ["here", "deep/er"], fetch)

    assert found == tmp_path
    assert (found / "here").read_text() == "old"
    assert (found / "deep/er/file").read_text() == "new"
    assert sorted(p.name for p in found.iterdir()) == ["deep", "here"]


def test_a_download_without_some_expected_file_is_a_failed_one(tmp_path):
    with pytest.raises(MissingData, match="download failed"):
        root.obtain("some", tmp_path, False, ["never"], lambda staging: None)


def test_two_processes_may_bring_the_same_folder(tmp_path):
    def fetch(staging):
        for parent in (staging, tmp_path):  # the second stands for the faster process
            (parent / "set").mkdir()
            (parent / "set/file").write_text("whole")

    assert (root.obtain("some", tmp_path, False, ["set"], fetch) / "set/file").exists()


def test_a_root_that_is_a_file_is_an_error_that_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MissingData, match=r"download failed \(.*Error"):
        root.obtain("some", tmp_path / "file", False, ["a"], lambda staging: None)


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    from torchvision.datasets.utils import download_url

    monkeypatch.setattr(root, "SILENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        with pytest.raises(MissingData, match=r"download failed .*timed out"):
            root.obtain("some", tmp_path, False, ["file"], partial(download_url, url))

    assert socket.getdefaulttimeout() is None


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(tmp_path):
    """A folder, and the address under which it is served on this machine."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_torchvision_downloads_into_place(tmp_path, mirror, monkeypatch):
    from torchvision.datasets import KMNIST

    folder, address = mirror
    images, labels = bytes(5 * 28 * 28), bytes(range(5))
    sums = []
    for file, _ in KMNIST.resources:
        header = (0x803, 5, 28, 28) if "idx3" in file else (0x801, 5)
        body = images if "idx3" in file else labels
        packed = gzip.compress(struct.pack(f">{len(header)}I", *header) + body)
        (folder / file).write_bytes(packed)
        sums.append((file, hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(KMNIST, "mirrors", [address])
    monkeypatch.setattr(KMNIST, "resources", sums)
    data = build("kmnist").load(tmp_path / "root", offline=False)

    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1, 2, 3, 4]
    assert [p.name for p in (tmp_path / "root").iterdir()] == ["KMNIST"]
    assert len([*(tmp_path / "root/KMNIST/raw").iterdir()]) == 4


def test_digits_are_cut_into_the_same_balanced_parts_every_time():
    data, again = (build("digits").load(None, offline=True) for _ in range(2))

    assert data.train.images.shape == (1297, 1, 28, 28)
    assert data.test.images.shape == (500, 1, 28, 28)
    assert data.test.labels.bincount().tolist() == [50, 51, 49, 51, 50, 51, 50, 50, 48, 50]
    assert torch.equal(data.test.images, again.test.images)


def test_digits_use_the_whole_range_and_leave_an_edge():
    images = build("digits").load(None, offline=True).train.images

    assert images.dtype == torch.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert not images[:, :, :4].any()
    assert not images[..., -4:].any()


def test_no_digit_is_in_both_parts():
    data = build("digits").load(None, offline=True)
    train, test = ({i.numpy().tobytes() for i in s.images} for s in (data.train, data.test))

    assert not train & test


def test_the_two_families_of_glyphs_share_no_character_and_no_digit():
    letters, signs = glyphs.FAMILIES.values()

    assert not set(letters) & set(signs)
    assert not set(letters + signs) & set("0123456789")
    assert len(letters + signs) == len(set(letters + signs))


@pytest.mark.parametrize("family", ["letters", "signs"])
def test_glyphs_are_as_many_as_asked_and_balanced(family):
    data = build("glyphs", family=family, count=1_500).load(None, offline=True)
    classes = len(glyphs.FAMILIES[family])

    assert data.train.images.shape == (1_500, 1, 28, 28)
    assert data.test.images.shape == (1_000, 1, 28, 28)
    assert data.num_classes == classes
    assert set(data.train.labels.bincount().tolist()) <= {1_500 // classes, 1_500 // classes + 1}
    assert data.train.images.flatten(1).amax(1).min() > 150  # nobody is invisible


def test_glyphs_lie_on_black_as_digits_do():
    images = build("glyphs", count=200).load(None, offline=True).train.images

    assert (images == 0).float().mean() > 0.5
    assert not images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_glyphs_depend_on_their_seed_only():
    first, same, other = (build("glyphs", count=50, seed=s).load(None, True) for s in (0, 0, 1))

    assert torch.equal(first.train.images, same.train.images)
    assert not torch.equal(first.train.images, other.train.images)
    assert not torch.equal(first.train.images, first.test.images[:50])


def test_glyphs_leave_the_global_stream_alone():
    before = torch.get_rng_state()
    build("glyphs", count=10).load(None, True)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", ["letters", "signs"])
def test_every_drawing_is_whole_and_unlike_the_others(family):
    drawings = glyphs._drawings(glyphs.FAMILIES[family])
    thin = drawings[:, 0].flatten(1)
    edges = [drawings[:, :, 0], drawings[:, :, -1], drawings[..., 0], drawings[..., -1]]

    assert not torch.stack(edges).any()
    assert torch.pdist(thin).min() > 3
    assert (drawings.sum((2, 3)).diff(dim=1) > 0).all()  # each stroke is wider than the last


def test_an_unknown_family_is_refused():
    with pytest.raises(RingfenceError, match=r"family.*letters"):
        build("glyphs", family="digits")

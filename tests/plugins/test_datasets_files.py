"""Sets in IDX, pickle and MATLAB files: small ones in the real format, sound and damaged."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets as source

from ringfence import plugins
from ringfence.errors import DamagedData, MissingData
from ringfence_vision.datasets import mnist

IDX = {"mnist": "MNIST", "fashionmnist": "FashionMNIST", "kmnist": "KMNIST"}
random = np.random.default_rng(0)


def load(name, root, **options):
    return plugins.build("datasets", name, options).load(root, offline=True)


def write_idx(file, array):
    header = struct.pack(f">{array.ndim + 1}I", 0x800 | array.ndim, *array.shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header + array.astype(np.uint8).tobytes())


def flip(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def sum_of(file):
    return hashlib.md5(file.read_bytes()).hexdigest()


@pytest.fixture(params=IDX)
def idx(request, tmp_path, monkeypatch):
    """A name, and the folder of its files, whose published sums are those of the small files."""
    raw = tmp_path / IDX[request.param] / "raw"
    for part, size in (("train", 30), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", random.integers(256, size=(size, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(size) % 10)
    sums = {key: sum_of(tmp_path / key) for key in mnist.MD5 if (tmp_path / key).exists()}
    monkeypatch.setattr(mnist, "MD5", sums)
    return request.param, raw


def test_idx_files_are_read_as_they_are(idx, tmp_path):
    name, raw = idx
    data = load(name, tmp_path)
    body = (raw / "t10k-images-idx3-ubyte").read_bytes()[16:]

    assert data.train.images.shape == (30, 1, 28, 28)
    assert data.train.images.dtype == torch.uint8
    assert data.train.labels.dtype == torch.int64
    assert data.test.images.numpy().tobytes() == body
    assert data.test.labels.tolist() == [*range(10)] * 2
    assert (data.num_classes, data.marks, data.groups) == (10, (), None)


@pytest.mark.parametrize("name", ["mnist", "fashionmnist"])
def test_every_published_sum_is_compared(name):
    assert sum(key.startswith(f"{IDX[name]}/raw/") for key in mnist.MD5) == 4


@pytest.mark.parametrize("idx", ["mnist", "fashionmnist"], indirect=True)
@pytest.mark.parametrize("kind", ["images-idx3-ubyte", "labels-idx1-ubyte"])
def test_a_flipped_bit_is_noticed_where_a_sum_is_published(idx, kind, tmp_path):
    name, raw = idx
    flip(raw / f"train-{kind}", -1)
    with pytest.raises(DamagedData, match=rf"train-{kind} is damaged: its md5 .*Delete it"):
        load(name, tmp_path)


def wrong_magic(file):
    flip(file, 2)


def truncated(file):
    os.truncate(file, file.stat().st_size - 5)


def empty(file):
    os.truncate(file, 0)


def header_only(file):
    os.truncate(file, 3)


def longer(file):
    file.write_bytes(file.read_bytes() + b"12345")


def directory(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("kind", ["images-idx3-ubyte", "labels-idx1-ubyte"])
@pytest.mark.parametrize("harm", [wrong_magic, truncated, empty, header_only, longer, directory])
@pytest.mark.parametrize("idx", ["kmnist"], indirect=True)
def test_an_idx_file_that_cannot_be_read_is_named(idx, harm, kind, tmp_path):
    harm(idx[1] / f"t10k-{kind}")
    with pytest.raises(DamagedData, match=rf"t10k-{kind} is damaged: .*Delete it"):
        load("kmnist", tmp_path)


@pytest.mark.parametrize(
    ("kind", "array", "reason"),
    [
        ("labels-idx1-ubyte", np.arange(29) % 10, "29 labels for 30 images"),
        ("labels-idx1-ubyte", np.arange(30), "labels 0 to 29 instead of 0 to 9"),
        ("images-idx3-ubyte", np.zeros((30, 14, 14)), r"\(14, 14\) instead of \(28, 28\)"),
        ("images-idx3-ubyte", np.zeros(30), "dimension instead of 1"),
    ],
)
@pytest.mark.parametrize("idx", ["kmnist"], indirect=True)
def test_idx_files_that_do_not_fit_one_another_are_damaged(idx, kind, array, reason, tmp_path):
    write_idx(idx[1] / f"train-{kind}", array)
    with pytest.raises(DamagedData, match=reason):
        load("kmnist", tmp_path)


@pytest.mark.parametrize("idx", ["kmnist"], indirect=True)
def test_only_the_absent_file_is_named_as_expected(idx, tmp_path):
    (idx[1] / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(MissingData, match=r"expected KMNIST/raw/t10k-labels-idx1-ubyte\. "):
        load("kmnist", tmp_path)


@pytest.mark.parametrize("split", mnist.CLASSES)
def test_emnist_is_upright_and_counts_from_nought(split, tmp_path):
    first, classes = int(split == "letters"), mnist.CLASSES[split]
    upright = random.integers(256, size=(classes, 28, 28))
    for part in ("train", "test"):
        prefix = tmp_path / "EMNIST/raw" / f"emnist-{split}-{part}"
        write_idx(prefix.with_name(f"{prefix.name}-images-idx3-ubyte"), upright.transpose(0, 2, 1))
        write_idx(prefix.with_name(f"{prefix.name}-labels-idx1-ubyte"), np.arange(classes) + first)
    data = load("emnist", tmp_path, split=split)

    assert data.test.images[:, 0].tolist() == upright.tolist()
    assert data.train.labels.tolist() == [*range(classes)]
    assert data.num_classes == classes


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


@pytest.fixture(params=["CIFAR10", "CIFAR100"])
def cifar(request, tmp_path, monkeypatch):
    """A class of torchvision and its folder, with small batches whose sums are the listed ones."""
    cls = getattr(source, request.param)
    classes, key = (10, "labels") if request.param == "CIFAR10" else (100, "fine_labels")
    folder = tmp_path / cls.base_folder
    folder.mkdir()
    batch = {
        "data": random.integers(256, size=(classes, 3072)).astype(np.uint8),
        key: [*range(classes)],
    }
    for file, _ in cls.train_list + cls.test_list:
        (folder / file).write_bytes(pickled_by_python_2(batch))
    meta = {cls.meta["key"]: [str(label) for label in range(classes)]}
    (folder / cls.meta["filename"]).write_bytes(pickle.dumps(meta))
    list_sums(cls, folder, monkeypatch)
    return cls, folder


def pickled_by_python_2(batch):
    """The published batches name numpy's old module, and give numbers for its flags."""
    new = pickle.dumps(batch, protocol=2)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    return old.replace(b"\x89\x88\x87", b"K\x00K\x01\x87")


def list_sums(cls, folder, monkeypatch):
    for name in ("train_list", "test_list"):
        listed = [[file, sum_of(folder / file)] for file, _ in getattr(cls, name)]
        monkeypatch.setattr(cls, name, listed)
    meta = {**cls.meta, "md5": sum_of(folder / cls.meta["filename"])}
    monkeypatch.setattr(cls, "meta", meta)


def test_cifar_batches_become_channels_first(cifar, tmp_path):
    cls, folder = cifar
    data = load(cls.__name__.lower(), tmp_path)
    first = pickle.loads((folder / cls.train_list[0][0]).read_bytes())

    assert data.train.images.shape == (data.num_classes * len(cls.train_list), 3, 32, 32)
    assert data.train.images[0].flatten().tolist() == first["data"][0].tolist()
    assert data.train.images.is_contiguous()
    assert data.test.labels.tolist() == [*range(data.num_classes)]
    assert data.marks == ()


def test_a_changed_batch_is_named_and_never_unpickled(cifar, tmp_path):
    cls, folder = cifar
    file = folder / cls.test_list[0][0]
    file.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(DamagedData, match=f"{file.name} is damaged: its md5"):
        load(cls.__name__.lower(), tmp_path)

    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ({"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2]}, "2 labels for 3 images"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1, 10]}, "labels 1 to 10 instead"),
        ({"data": np.zeros((2, 3000), np.uint8), "labels": [1, 2]}, "ValueError"),
        ({"labels": [1, 2]}, "KeyError"),
        ("no batch", "TypeError"),
    ],
)
@pytest.mark.parametrize("cifar", ["CIFAR10"], indirect=True)
def test_a_batch_of_another_structure_is_damaged(cifar, batch, reason, tmp_path, monkeypatch):
    cls, folder = cifar
    (folder / "test_batch").write_bytes(pickle.dumps(batch))
    list_sums(cls, folder, monkeypatch)
    with pytest.raises(DamagedData, match=reason):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("cifar", ["CIFAR10"], indirect=True)
def test_an_absent_batch_is_missing_not_damaged(cifar, tmp_path):
    (cifar[1] / "data_batch_3").unlink()
    with pytest.raises(MissingData, match=r"expected cifar-10-batches-py/data_batch_3\. "):
        load("cifar10", tmp_path)


@pytest.fixture
def svhn(tmp_path, monkeypatch):
    """The content of the two MATLAB files, whose sums are the listed ones."""

    def write(labels):
        pixels = random.integers(256, size=(32, 32, 3, 12)).astype(np.uint8)
        listed = {}
        for part, (url, name, _) in source.SVHN.split_list.items():
            file = tmp_path / name
            scipy.io.savemat(file, {"X": pixels, "y": np.array(labels, np.uint8)[:, None]})
            listed[part] = [url, name, sum_of(file)]
        monkeypatch.setattr(source.SVHN, "split_list", listed)
        return pixels

    return write


def test_svhn_counts_from_nought(svhn, tmp_path):
    pixels = svhn([*range(1, 11), 1, 2])
    data = load("svhn", tmp_path)

    assert data.train.images.shape == (12, 3, 32, 32)
    assert data.train.images.is_contiguous()
    assert data.test.images[5].tolist() == pixels[..., 5].transpose(2, 0, 1).tolist()
    assert data.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]


def test_a_changed_matlab_file_is_named(svhn, tmp_path):
    svhn([1] * 12)
    flip(tmp_path / "test_32x32.mat", -1)
    with pytest.raises(DamagedData, match=r"test_32x32\.mat is damaged: its md5"):
        load("svhn", tmp_path)


@pytest.mark.parametrize("labels", [[1] * 11, [1] * 11 + [12]])
def test_a_matlab_file_of_wrong_labels_is_damaged(svhn, labels, tmp_path):
    svhn(labels)
    with pytest.raises(DamagedData, match=r"train_32x32\.mat is damaged: .*labels"):
        load("svhn", tmp_path)


def test_a_file_that_is_no_matlab_file_is_damaged(svhn, tmp_path, monkeypatch):
    svhn([1] * 12)
    file = tmp_path / "train_32x32.mat"
    file.write_bytes(b"<html>not found</html>" * 10)
    listed = {**source.SVHN.split_list, "train": ["", file.name, sum_of(file)]}
    monkeypatch.setattr(source.SVHN, "split_list", listed)
    with pytest.raises(DamagedData, match=r"train_32x32\.mat is damaged"):
        load("svhn", tmp_path)

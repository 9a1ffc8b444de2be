"""Weights of others are loaded when they fit, and refused by name before anything is copied."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from ringfence import plugins, weights
from ringfence.errors import BadOption
from ringfence.inference import logits

torchvision = pytest.importorskip("torchvision")  # ringfence comes first: see torchvision_compat

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SQUEEZENET = DATA / "weights" / "squeezenet1_1-imagenet-fp16.pth"
PICTURES = DATA / "imagenette2-224" / "val"
CLASSES = [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]  # Imagenette's among ImageNet's
SHAPE = (3, 32, 32)


def made(plugin, /, file, num_classes=10, shape=SHAPE):
    return plugins.build("models", plugin, {"pretrained": str(file)}).make(num_classes, shape)


def fresh(num_classes=10, seed=1):
    """Return a squeezenet: the only network here whose weights take less than 3 MB."""
    torch.manual_seed(seed)
    return torchvision.models.squeezenet1_1(num_classes=num_classes)


def saved(tmp_path, tensors, name="weights.pth", **options):
    torch.save(tensors, tmp_path / name, **options)
    return tmp_path / name


def same(model, tensors, skip="no such name"):
    own = model.net.state_dict()
    return all(torch.equal(own[n], tensors[n].float()) for n in tensors if not n.startswith(skip))


def rezipped(source, target, change=lambda name, content: content, **options):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def pickled_as(tmp_path, payload):
    """Return a file of ``torch.save`` whose pickle is replaced by ``payload``."""
    good = saved(tmp_path, {"a": torch.zeros(2)}, "good.pth")
    swap = lambda name, content: payload if name.endswith("data.pkl") else content  # noqa: E731
    return rezipped(good, tmp_path / "evil.pth", swap)


@contextmanager
def little_memory():
    """Let this process take no more than 256 MiB on top of what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**28, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_state_dict_of_torch_fills_the_network(tmp_path):
    tensors = fresh().state_dict()

    assert same(made("squeezenet", saved(tmp_path, tensors)), tensors)


def test_safetensors_of_float16_fill_the_network_as_float32(tmp_path):
    tensors = {name: tensor.half() for name, tensor in fresh().state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")

    model = made("squeezenet", tmp_path / "weights.safetensors")

    assert same(model, tensors)
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}


def test_weights_saved_by_a_model_of_ringfence_fill_the_next(tmp_path):
    model = plugins.build("models", "resnet18").make(10, (1, 28, 28))

    again = made("resnet18", saved(tmp_path, model.state_dict()), shape=(1, 28, 28))

    assert same(again, model.net.state_dict())


def test_head_stays_fresh_where_the_classes_differ_in_number(tmp_path):
    tensors = fresh(num_classes=1000).state_dict()

    model = made("squeezenet", saved(tmp_path, tensors), num_classes=7)

    assert same(model, tensors, skip="classifier")
    assert model(torch.rand(1, *SHAPE)).shape == (1, 7)


def test_auxiliary_heads_and_missing_counters_do_no_harm(tmp_path):
    tensors = torchvision.models.googlenet(num_classes=10, init_weights=False).state_dict()
    file = saved(tmp_path, {n: t for n, t in tensors.items() if "num_batches" not in n})
    options = {"name": "googlenet", "pretrained": str(file)}

    model = plugins.build("models", "torchvision", options).make(10, (3, 64, 64))

    assert torch.equal(model.net.fc.weight, tensors["fc.weight"])
    assert not model.net.aux_logits


def test_weights_of_the_large_stem_are_refused_by_the_small_one(tmp_path):
    file = saved(tmp_path, torchvision.models.resnet18(num_classes=10).state_dict())

    with pytest.raises(
        BadOption, match=r"'conv1\.weight' has shape \(64, 3, 7, 7\) where .*3, 3\)"
    ):
        made("resnet18", file)


@pytest.mark.parametrize("layout", ["channels_last", "sliced", "parameters"])
def test_other_ways_to_save_the_same_numbers_are_welcome(layout, tmp_path):
    net = fresh()
    tensors = net.state_dict()
    file = saved(
        tmp_path,
        {
            "channels_last": net.to(memory_format=torch.channels_last).state_dict(),
            "sliced": {n: torch.stack([t, t])[0] for n, t in tensors.items()},
            "parameters": dict(net.named_parameters()),
        }[layout],
    )

    assert same(made("squeezenet", file), tensors)


def renamed(tensors):
    tensors["classifier.1.gewicht"] = tensors.pop("classifier.1.weight")


def foreign(tensors):
    tensors["extra.weight"] = torch.zeros(1)


def misshapen(tensors):
    tensors["features.3.squeeze.weight"] = torch.zeros(16, 64, 3, 3)


def flat_head(tensors):
    tensors["classifier.1.weight"] = torch.zeros(1000, 512)


def whole(tensors):
    tensors["features.0.bias"] = torch.zeros(64, dtype=torch.int64)


def complex_numbers(tensors):
    tensors["features.0.bias"] = torch.zeros(64, dtype=torch.complex64)


def infinite(tensors):
    tensors["features.0.bias"] = torch.full((64,), torch.inf)


def sparse(tensors):
    tensors["features.0.bias"] = torch.zeros(64).to_sparse()


def stride_zero(tensors):
    tensors["features.0.weight"] = torch.zeros(1).expand(64, 3, 3, 3)


def huge_head(tensors):
    tensors["classifier.1.weight"] = torch.zeros(1).expand(2**40, 512, 1, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (renamed, r"1 tensors are missing.*classifier\.1\.weight"),
        (foreign, r"1 tensors are unknown.*extra\.weight"),
        (misshapen, r"features\.3\.squeeze\.weight.*\(16, 64, 3, 3\) where \(16, 64, 1, 1\)"),
        (flat_head, r"classifier\.1\.weight.*\(1000, 512\) where \(10, 512, 1, 1\)"),
        (whole, r"features\.0\.bias.*torch\.int64 where torch\.float32"),
        (complex_numbers, r"features\.0\.bias.*torch\.complex64 where torch\.float32"),
        (infinite, r"features\.0\.bias.*not finite"),
        (sparse, r"its pickle asks for .*sparse"),
        (stride_zero, r"features\.0\.weight.*\(64, 3, 3, 3\) but does not hold"),
        (huge_head, r"classifier\.1\.weight.*1099511627776.*does not hold"),
    ],
)
def test_tensor_that_does_not_fit_is_refused_by_name(spoil, message, tmp_path):
    tensors = dict(fresh().state_dict())
    spoil(tensors)
    file = saved(tmp_path, tensors)

    with pytest.raises(BadOption, match=message) as refusal:
        made("squeezenet", file)

    assert str(file) in str(refusal.value)


def test_nothing_is_copied_from_a_file_whose_last_tensor_does_not_fit(tmp_path, monkeypatch):
    tensors = {name: tensor + 1 for name, tensor in fresh().state_dict().items()}
    tensors["classifier.1.bias"] = torch.zeros(3, 3)
    net = fresh()
    monkeypatch.setattr(torchvision.models, "squeezenet1_1", lambda num_classes: net)

    with pytest.raises(BadOption, match=r"classifier\.1\.bias"):
        made("squeezenet", saved(tmp_path, tensors))

    assert all(torch.equal(net.state_dict()[n], t) for n, t in fresh().state_dict().items())


def evil_pickle(tmp_path, marker):
    return pickled_as(tmp_path, pickle.dumps({"a": Touch(marker)}, protocol=2))


def evil_pickle_of_protocol_4(tmp_path, marker):
    return pickled_as(tmp_path, pickle.dumps({"a": Touch(marker)}, protocol=4))


def evil_legacy_file(tmp_path, marker):
    file = tmp_path / "evil.pth"
    torch.save({"a": Touch(marker)}, file, _use_new_zipfile_serialization=False)
    return file


def legacy_file(tmp_path, marker):
    return saved(tmp_path, fresh().state_dict(), _use_new_zipfile_serialization=False)


def bare_pickle(tmp_path, marker):
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Touch(marker)))
    return tmp_path / "evil.pkl"


def allocating_pickle(tmp_path, marker):
    """``weights_only`` itself calls bytearray: 100 bytes would take 64 GiB."""
    return pickled_as(tmp_path, b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\0\0\0\0\x10\x85R.")


def torchscript(tmp_path, marker):
    file = saved(tmp_path, {"a": torch.zeros(2)})
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
        archive.writestr("archive/code/__torch__.py", b"class M(Module): pass")
    return file


def exported(tmp_path, marker):
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "model.pt2")
    return tmp_path / "model.pt2"


def compressed_bomb(tmp_path, marker):
    """Half a gigabyte of zeros in half a megabyte."""
    file = rezipped(saved(tmp_path, {"a": torch.zeros(2)}), tmp_path / "bomb.pth")
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data/1", "w") as member,
    ):
        for _ in range(512):
            member.write(bytes(2**20))
    return file


def overlapping_members(tmp_path, marker):
    """A directory that lists the same bytes a hundred times."""
    file = saved(tmp_path, {"a": torch.zeros(2**16)}, "good.pth")
    with zipfile.ZipFile(file, "a") as archive:
        record = next(m for m in archive.infolist() if m.filename.endswith("data/0"))
        archive.filelist.extend([record] * 100)
        archive._didModify = True
    return file


def flipped_bit(tmp_path, marker):
    file = saved(tmp_path, fresh().state_dict())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return file


def short_storage(tmp_path, marker):
    """The pickle claims 200 numbers of a record that holds four."""
    file = saved(tmp_path, {"a": torch.arange(4.0)}, "good.pth")
    grow = lambda name, content: (  # noqa: E731
        content.replace(b"K\x04", b"K\xc8") if name.endswith(".pkl") else content
    )
    return rezipped(file, tmp_path / "short.pth", grow)


def truncated_zip(tmp_path, marker):
    file = saved(tmp_path, fresh().state_dict())
    os.truncate(file, file.stat().st_size // 2)
    return file


def truncated_safetensors(tmp_path, marker):
    (tmp_path / "cut.safetensors").write_bytes(save(dict(fresh().state_dict()))[:-1000])
    return tmp_path / "cut.safetensors"


def endless_header(tmp_path, marker):
    (tmp_path / "header.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    return tmp_path / "header.safetensors"


def huge_claim(tmp_path, marker):
    claim = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    header = json.dumps(claim).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(16)
    (tmp_path / "claim.safetensors").write_bytes(content)
    return tmp_path / "claim.safetensors"


def no_state_dict(tmp_path, marker):
    return saved(tmp_path, [torch.zeros(2)])


def nested(tmp_path, marker):
    return saved(tmp_path, {"state_dict": fresh().state_dict(), "epoch": 3})


def empty_state_dict(tmp_path, marker):
    return saved(tmp_path, {})


def empty_file(tmp_path, marker):
    (tmp_path / "empty.pth").touch()
    return tmp_path / "empty.pth"


def sparse_giant(tmp_path, marker):
    with (tmp_path / "giant.pth").open("wb") as stream:
        stream.truncate(weights.LIMIT + 1)
    return tmp_path / "giant.pth"


HOSTILE = [
    (evil_pickle, "pickle asks for"),
    (evil_pickle_of_protocol_4, "pickle asks for"),
    (evil_legacy_file, "cannot be read"),
    (legacy_file, "cannot be read"),
    (bare_pickle, "cannot be read"),
    (allocating_pickle, "pickle asks for 'builtins bytearray'"),
    (torchscript, r"constants\.pkl' belongs to no state dict"),
    (exported, "belongs to no state dict"),
    (compressed_bomb, "compressed|more bytes than it has"),
    (overlapping_members, "more bytes than it has"),
    (flipped_bit, "CRC"),
    (short_storage, "cannot be read"),
    (truncated_zip, "cannot be read"),
    (truncated_safetensors, "cannot be read"),
    (endless_header, "cannot be read"),
    (huge_claim, "cannot be read"),
    (no_state_dict, "not a state dict"),
    (nested, "not a state dict"),
    (empty_state_dict, "52 tensors are missing"),
    (empty_file, "it has 0 bytes"),
    (sparse_giant, "it has 1,073,741,825 bytes"),
]


@pytest.mark.parametrize(
    ("hostile", "message"), HOSTILE, ids=lambda it: getattr(it, "__name__", "")
)
def test_hostile_or_damaged_file_is_refused_and_runs_nothing(
    hostile, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # must not matter
    marker = tmp_path / "marker"
    file = hostile(tmp_path, marker)

    with little_memory(), pytest.raises(BadOption, match=message) as refusal:
        made("squeezenet", file)

    assert str(file) in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert not marker.exists()


def test_every_cut_of_a_file_is_refused(tmp_path):
    whole = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, whole)
    for content in (whole.getvalue(), save({"a": torch.zeros(4)})):
        for end in range(0, len(content), 7):
            (tmp_path / "cut").write_bytes(content[:end])
            with pytest.raises(BadOption):
                weights.read(tmp_path / "cut")


@pytest.mark.parametrize("value", ["nowhere.pth", "IMAGENET1K_V9", "x" * 5000, "a\0b", "."])
def test_what_is_neither_file_nor_name_is_refused_with_the_known_names(value):
    with pytest.raises(BadOption, match=r"Known names: imagenet, IMAGENET1K_V1\."):
        made("squeezenet", value)


def test_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    file = saved(tmp_path, {"a": torch.zeros(1)})
    plugin = plugins.build("models", "squeezenet", {"pretrained": str(file)})

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(BadOption, match="Permission denied"):
        plugin.make(10, SHAPE)


@pytest.mark.parametrize("name", ["imagenet", "IMAGENET1K_V1"])
def test_download_without_network_is_one_error_that_names_the_file_option(
    name, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    with pytest.raises(BadOption, match=r"download\.pytorch\.org.*weights file as 'pretrained'"):
        made("squeezenet", name, shape=(3, 224, 224))


def test_published_weights_in_the_cache_of_torch_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    url = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    tensors = fresh(num_classes=1000).state_dict()
    torch.save(tensors, tmp_path / "hub" / "checkpoints" / url.rpartition("/")[2])

    assert same(made("squeezenet", "imagenet", num_classes=1000), tensors)


@pytest.mark.skipif(not SQUEEZENET.exists(), reason=f"{SQUEEZENET.name} is not at hand")
def test_real_weights_of_imagenet_fill_a_network_of_ten_classes():
    model = made("squeezenet", SQUEEZENET, shape=(3, 224, 224))

    tensors = torch.load(SQUEEZENET, weights_only=True)
    assert same(model, tensors, skip="classifier")


@pytest.mark.skipif(
    not (SQUEEZENET.exists() and PICTURES.exists()), reason="weights or pictures are not at hand"
)
def test_real_weights_of_imagenet_know_the_pictures_of_imagenette():
    folder = torchvision.datasets.ImageFolder(PICTURES, transform=to_tensor)
    images = torch.stack([picture for picture, _ in folder])
    labels = torch.tensor(folder.targets)
    model = made("squeezenet", SQUEEZENET, num_classes=1000, shape=(3, 224, 224)).eval()

    answers = logits(model, images)

    among_all = answers.argmax(1) == torch.tensor(CLASSES)[labels]
    among_ten = answers[:, CLASSES].argmax(1) == labels
    assert among_all.double().mean().item() == pytest.approx(0.61, abs=0.02)
    assert among_ten.double().mean().item() == pytest.approx(0.96, abs=0.02)


def to_tensor(picture):
    """Return the picture cut at its centre, as a data set of ours would hold it."""
    return torchvision.transforms.functional.center_crop(
        torchvision.transforms.functional.pil_to_tensor(picture), [224, 224]
    )

"""A value in a folder: back as it was, or refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence import artifact
from ringfence.errors import BrokenPlugin

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
tensors = st.builds(
    lambda dtype, shape: (torch.arange(torch.Size(shape).numel()) % 2).reshape(shape).to(dtype),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), max_size=3),
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
trees = st.recursive(
    plain | tensors,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype is other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


@given(trees)
@settings(deadline=None, max_examples=100)
def test_a_tree_comes_back_as_it_was(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("kept") / "it"
    artifact.save(folder, value)

    assert same(artifact.load(folder), value)
    assert same(artifact.round_trip(value), value)


def test_tensors_that_share_memory_come_back_apart(tmp_path):
    whole = torch.arange(6.0)
    artifact.save(
        tmp_path / "it", {"whole": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}
    )
    back = artifact.load(tmp_path / "it")
    back["part"].zero_()

    assert torch.equal(back["whole"], whole)
    assert torch.equal(back["turned"], whole.view(2, 3).T)


def test_every_flipped_bit_is_noticed(tmp_path):
    folder = tmp_path / "it"
    artifact.save(folder, {"weights": torch.rand(50), "key": "abc"})
    random = torch.Generator().manual_seed(0)
    for name in (artifact.TENSORS, artifact.TREE):
        content = (folder / name).read_bytes()
        for bit in torch.randint(len(content) * 8, (150,), generator=random).tolist():
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            (folder / name).write_bytes(flipped)
            with pytest.raises(artifact.DamagedArtifact, match="does not match"):
                artifact.load(folder)
        (folder / name).write_bytes(content)

    artifact.load(folder)


@pytest.mark.parametrize("name", [artifact.TENSORS, artifact.TREE, artifact.DIGESTS])
@pytest.mark.parametrize("harm", ["gone", "cut", "empty"])
def test_a_missing_or_cut_file_is_noticed(tmp_path, name, harm):
    folder = tmp_path / "it"
    artifact.save(folder, {"weights": torch.rand(50)})
    file = folder / name
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2] if harm == "cut" else b"")
    with pytest.raises(artifact.DamagedArtifact):
        artifact.load(folder)


def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BrokenPlugin, match=r"not Linear. Return model.state_dict\(\)"):
        artifact.save(tmp_path / "it", {"net": torch.nn.Linear(1, 1)})

    assert list(tmp_path.iterdir()) == []

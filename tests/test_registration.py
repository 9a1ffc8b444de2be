"""What is registered, and that nothing of it can be changed unseen."""

from __future__ import annotations

import json
import re

import attrs
import pytest
import torch

from ringfence import artifact, exhibit, registration
from ringfence.errors import BadEvidence, RingfenceError
from ringfence.exhibit import Exhibit, Origin
from ringfence.ledger import Ledger
from ringfence.registration import FILE, Registration, Registry
from ringfence.testing import tiny_experiment
from ringfence.types import Queries


def marked(run, clients, plugin="it", kind="wrong", seed=0):
    """Mark all of some random queries."""
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(len(clients), 1, 8, 8, generator=random)
    answers = torch.rand(len(clients), 4, generator=random).double().softmax(-1)
    queries = Queries(images, tuple(clients), torch.zeros(len(clients), dtype=torch.int64))
    with run.store.batch(clients):
        run.store.of(plugin).mark(queries, torch.arange(len(clients)), kind)
        run.store.settle(queries, answers)


@pytest.fixture
def registered(tmp_path):
    run = tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model()
    marked(run, ["a", "b", "a"])
    marked(run, ["b"], plugin="other", seed=1)
    Registry(tmp_path).register(run, victim)
    return tmp_path, run, victim


def read(folder):
    return registration.read(folder / FILE)


def test_what_was_registered_fits_what_was_written(registered):
    folder, run, victim = registered

    found, kept = read(folder), exhibit.load(folder / exhibit.FOLDER)
    registration.check(found, kept.ledger, victim.state_dict())

    assert [(s.plugin, s.client, s.triggers) for s in found.sets] == [
        ("it", "a", 2),
        ("it", "b", 1),
        ("other", "b", 1),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.time)
    assert re.fullmatch("[0-9a-f]{64}", found.digest)
    for one, other in zip(kept.ledger.dump(), run.store.ledger.dump(), strict=True):
        assert torch.equal(one.pop("images"), other.pop("images"))
        assert torch.equal(one.pop("answers"), other.pop("answers"))
        assert one == other


def test_it_is_registered_once(registered):
    folder, run, victim = registered
    first = (folder / FILE).read_bytes()
    Registry(folder).register(run, victim)

    assert (folder / FILE).read_bytes() == first
    marked(run, ["c"], seed=2)  # as after a stage that was done again
    Registry(folder).register(run, victim)
    assert "c" in {one.client for one in read(folder).sets}
    registration.check(read(folder), exhibit.load(folder / "ledger").ledger, victim.state_dict())


def test_where_nothing_was_marked_nothing_is_registered(tmp_path):
    run = tiny_experiment()
    Registry(tmp_path).register(run, run.new_model())

    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path) is None


def changed_ledger(ledger, part):
    dumped = [{**mark} for mark in ledger.dump()]
    if part in ("images", "answers"):
        dumped[0][part] = dumped[0][part].clone()
        dumped[0][part].view(-1)[-1] += 1e-7
    elif part == "clients":
        dumped[0]["clients"] = ["a", "b", "b"]
    elif part == "left out":
        dumped.pop()
    else:
        dumped[0][part] = "more"
    changed = Ledger()
    changed.load(dumped)
    return changed


@pytest.mark.parametrize("part", ["images", "answers", "clients", "plugin", "kind", "left out"])
def test_any_change_of_the_ledger_is_seen(registered, part):
    folder, run, _ = registered

    with pytest.raises(BadEvidence, match="does not fit the ledger: something was changed"):
        registration.check(read(folder), changed_ledger(run.store.ledger, part), None)


def test_any_change_of_the_victim_is_seen(registered):
    folder, run, victim = registered
    with torch.no_grad():
        victim[1].bias[3] += 1e-7

    with pytest.raises(BadEvidence, match="does not fit the victim"):
        registration.check(read(folder), run.store.ledger, victim.state_dict())


@pytest.mark.parametrize("change", [{"time": "2020-01-01T00:00:00+00:00"}, {"sets": ()}])
def test_any_change_of_the_registration_is_seen(registered, change):
    folder, run, _ = registered
    found = read(folder)

    with pytest.raises(BadEvidence, match="does not fit its own digest"):
        registration.check(attrs.evolve(found, **change), run.store.ledger, None)


def test_the_digest_of_a_model_is_that_of_its_weights():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 3)
    weights = model.state_dict()
    digest = registration.model_digest(weights)

    assert registration.model_digest(dict(reversed(weights.items()))) == digest
    assert registration.model_digest({**weights, "bias": weights["bias"].double()}) != digest
    assert registration.model_digest({**weights, "bias": -weights["bias"]}) != digest


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"digest": 3}', "[" * 100_000], ids=len)
def test_a_file_that_is_no_registration_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)

    with pytest.raises(BadEvidence, match="cannot be read as a registration"):
        read(tmp_path)


def test_an_unknown_scheme_is_refused(registered):
    folder, run, _ = registered
    found = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**found, "scheme": "sha1"}))

    with pytest.raises(BadEvidence, match="has the scheme 'sha1'"):
        registration.check(read(folder), run.store.ledger, None)


# The exported ledger


ORIGIN = {
    "dataset": "d",
    "model": "m",
    "options": {},
    "labels": "soft",
    "num_classes": 4,
    "image_shape": [1, 8, 8],
}


def mark(**changed):
    plain = {"plugin": "it", "kind": "wrong", "clients": ["a", "b"]}
    tensors = {"images": torch.rand(2, 1, 8, 8), "answers": torch.rand(2, 4)}
    return {**plain, **tensors, **changed}


def kept(folder, origin, marks, schema=1):
    artifact.save(folder, {"schema": schema, "origin": origin, "marks": marks})
    return exhibit.load(folder)


def test_a_right_one_is_read(tmp_path):
    found = kept(tmp_path / "l", ORIGIN, [mark()])

    assert found.origin == Origin(**{**ORIGIN, "image_shape": (1, 8, 8)})
    assert len(found.ledger.pairs(client="a")) == 1


@pytest.mark.parametrize(
    ("origin", "changed", "why"),
    [
        ({"num_classes": 1}, {}, ""),
        ({"image_shape": [8, 8]}, {}, ""),
        ({"labels": 3}, {}, ""),
        ({"more": 1}, {}, ""),
        ({"options": 3}, {}, ""),
        ({}, {"clients": ["a"]}, r"images are not float \(1, 1, 8, 8\)"),
        ({}, {"clients": ["a", 3]}, "a name is no text"),
        ({}, {"clients": 3}, ""),
        ({}, {"images": torch.rand(2, 1, 8, 9)}, "images are not float"),
        ({}, {"images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "images are not float"),
        ({}, {"images": torch.full((2, 1, 8, 8), 1.5)}, r"images are not all in \[0, 1\]"),
        ({}, {"images": "x"}, "images are not float"),
        ({}, {"answers": torch.full((2, 4), torch.nan)}, r"answers are not all in \[0, 1\]"),
        ({}, {"answers": torch.rand(2, 5)}, r"answers are not float \(2, 4\)"),
        ({}, {"extra": 1}, "a mark has the parts"),
    ],
)
def test_a_wrong_one_is_refused(tmp_path, origin, changed, why):
    with pytest.raises(BadEvidence, match=f"is not the ledger of a run .*{why}"):
        kept(tmp_path / "l", {**ORIGIN, **origin}, [mark(**changed)])


@pytest.mark.parametrize("tree", [3, {}, {"schema": 2}, {"schema": 1, "origin": ORIGIN}], ids=str)
def test_another_artifact_is_refused(tmp_path, tree):
    artifact.save(tmp_path / "l", tree)

    with pytest.raises(BadEvidence, match="is not the ledger of a run"):
        exhibit.load(tmp_path / "l")


def test_a_flipped_bit_is_seen(registered):
    folder, *_ = registered
    file = folder / exhibit.FOLDER / artifact.TENSORS
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)

    with pytest.raises(RingfenceError, match="does not match its SHA256SUMS"):
        exhibit.load(folder / exhibit.FOLDER)


def test_a_file_larger_than_the_limit_is_not_read(registered, monkeypatch):
    folder, *_ = registered
    monkeypatch.setattr(exhibit, "LIMIT", 500)

    with pytest.raises(RingfenceError, match=r"bytes, of 500 that are read"):
        exhibit.load(folder / exhibit.FOLDER)


@pytest.mark.parametrize(
    "text", ['{"$tensor": "7"}', '{"$tensor": [1]}', '{"$tensor": {"a": 1}}', "[" * 100_000]
)
def test_a_tree_that_names_no_tensor_is_refused(tmp_path, text):
    artifact.save(tmp_path / "l", [torch.zeros(1)])
    (tmp_path / "l" / artifact.TREE).write_text(text)
    digests = [
        artifact._digest((tmp_path / "l" / n).read_bytes())
        for n in (artifact.TENSORS, artifact.TREE)
    ]
    lines = [f"{d}  {n}\n" for d, n in zip(digests, (artifact.TENSORS, artifact.TREE), strict=True)]
    (tmp_path / "l" / artifact.DIGESTS).write_text("".join(lines))

    with pytest.raises(artifact.DamagedArtifact):
        artifact.load(tmp_path / "l")


def test_the_ledger_of_a_run_names_the_victims_model():
    run = attrs.evolve(
        tiny_experiment(), spec={"dataset": "d", "model": "m", "options": {"m": {"width": 3}}}
    )

    assert Exhibit.of_run(run).origin == Origin(
        dataset="d",
        model="m",
        options={"width": 3},
        labels="soft",
        num_classes=4,
        image_shape=(1, 8, 8),
    )
    assert Registration(time="t", model="x", sets=()).scheme == registration.SCHEME

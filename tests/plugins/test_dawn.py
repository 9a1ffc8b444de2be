"""DAWN against one written from its definition, its marks at work, and its secret kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import define, field
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from ringfence import grid, plugins
from ringfence.answers import answer_format
from ringfence.cli import main
from ringfence.errors import BadOption, RingfenceError
from ringfence.evaluation import evaluate
from ringfence.launch import launch
from ringfence.service import Service
from ringfence.testing import check_responder, check_verifier, tiny_experiment
from ringfence.testing.tiny import session
from ringfence.types import Queries, Verdict
from ringfence_dawn import Dawn
from ringfence_dawn.choosing import chosen, digests, permutation, threshold

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "a key of words that is long enough"
TOY = {"dataset": "toy_blobs", "attack": "toy_random_queries", "budget": 200, "benign_clients": 2}


def guarded(plugin, classes=4, labels="soft"):
    """Return the responder, and a function that answers like a service of its own."""
    run = tiny_experiment()
    torch.manual_seed(0)
    victim = run.new_model().eval()
    view = run.for_defense("dawn", plugin)
    responder = plugin.make_responder(view, victim)

    def answer(images, probs, clients=None):
        clients = tuple(clients or ["a"] * len(images))
        queries = Queries(images, clients, torch.zeros(len(images), dtype=torch.int64))
        with run.store.batch(clients):
            after = responder.respond(queries, probs, [])
            run.store.settle(queries, answer_format(labels)(after))
        return after

    return run, responder, answer


def shots(count, seed=0, shape=(1, 8, 8)):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=random, dtype=torch.uint8) / 255


def soft(count, classes=4, seed=0, scale=3.0):
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(count, classes, generator=random) * scale).double().softmax(-1)


def reference(key, rate, image, probs):
    """Return the wrong class of one image and where all classes go, or nothing: by definition."""
    shades = np.rint(image.numpy().astype(np.float64) * 255).astype(np.uint8)
    digest = hmac.new(key, shades.transpose(1, 2, 0).tobytes(), hashlib.sha256).digest()
    if not int(digest[:16].hex(), 16) / 2**128 < rate:
        return None
    seed, top, classes = digest[16:], int(probs.argmax()), len(probs)
    order = None
    while order is None or order[top] == top:
        words = hashlib.shake_256(seed).hexdigest(8 * classes)
        drawn = [int(words[16 * n : 16 * n + 16], 16) for n in range(classes)]
        order = sorted(range(classes), key=drawn.__getitem__)
        seed = hashlib.sha256(seed).digest()
    return order[top], order


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.sampled_from([0.0, 0.3, 1.0]))
def test_answers_are_those_of_the_definition(seed, classes, rate):
    images, probs = shots(9, seed), soft(9, classes, seed)
    answers = {
        how: guarded(Dawn(rate=rate, key=KEY, soft=how))[2](images, probs)
        for how in ("swap", "permute")
    }

    for row, (image, honest) in enumerate(zip(images, probs, strict=True)):
        found = reference(bytes.fromhex(KEY), rate, image, honest)
        swapped, permuted = honest.clone(), honest.clone()
        if found:
            label, order = found
            top = honest.argmax()
            swapped[top], swapped[label] = honest[label], honest[top]
            permuted[order] = honest
        torch.testing.assert_close(answers["swap"][row], swapped, rtol=0, atol=1e-5)
        torch.testing.assert_close(answers["permute"][row], permuted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rate", [0.005, 1 / 16])
@pytest.mark.parametrize("key", [KEY, OTHER, "f" * 64])
def test_of_20000_images_a_binomial_share_is_marked(rate, key):
    images, probs = shots(20_000), soft(20_000)
    _, responder, answer = guarded(Dawn(rate=rate, key=key))

    after = answer(images, probs)

    wrong = after.argmax(-1) != probs.argmax(-1)
    marked = int(wrong.sum())
    assert binom.ppf(1e-5, 20_000, rate) <= marked <= binom.isf(1e-5, 20_000, rate)
    assert responder.report() == {"asked": 20_000, "marked": marked, "rate": marked / 20_000}
    assert torch.equal(after[~wrong], probs[~wrong])


def test_the_comparison_is_exact():
    assert threshold(0.0) == 0
    assert threshold(1 / 16) == 2**124
    assert threshold(1.0) == 2**128
    below = threshold(0.005)
    assert below / 2**128 == 0.005
    assert chosen((below - 1).to_bytes(16, "big") + bytes(16), below)
    assert not chosen(below.to_bytes(16, "big") + bytes(16), below)
    assert not chosen(bytes(32), threshold(0.0))
    assert chosen(b"\xff" * 32, threshold(1.0))


def test_all_wrong_classes_are_as_likely_and_the_right_one_never_comes():
    some = digests(b"x" * 16, [str(n).encode() for n in range(20_000)])
    for classes, top in ((2, 1), (5, 3)):
        told = [permutation(one, top, classes)[top] for one in some]
        counts = np.bincount(told, minlength=classes)

        assert counts[top] == 0
        if classes > 2:
            assert chisquare(np.delete(counts, top)).pvalue > 1e-4


def test_whether_says_nothing_of_with_what():
    """The two halves of a digest are used apart: marked images have all wrong classes."""
    some = digests(b"y" * 16, [str(n).encode() for n in range(30_000)])
    marked = [one for one in some if chosen(one, threshold(1 / 16))]
    told = np.bincount([permutation(one, 0, 5)[0] for one in marked], minlength=5)

    assert chisquare(told[1:]).pvalue > 1e-4


def test_an_image_has_one_answer_whoever_asks_and_when():
    images, probs = shots(400), soft(400)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    first, again = guarded(Dawn(rate=0.3, key=KEY))[2], guarded(Dawn(rate=0.3, key=KEY))[2]
    other = guarded(Dawn(rate=0.3, key=OTHER))[2]

    whole = first(images, probs)

    assert torch.equal(first(images, probs, ["b", "c"] * 200), whole)
    assert torch.equal(again(images[order], probs[order])[order.argsort()], whole)
    singles = [again(images[n : n + 1], probs[n : n + 1]) for n in range(400)]
    assert torch.equal(torch.cat(singles), whole)
    assert torch.equal(again((images * 255).round() / 255 + 1e-4, probs), whole)  # same shades
    assert not torch.equal(other(images, probs), whole)


@st.composite
def wavering(draw):
    """Rows ``(8, K)`` of every kind that a softmax can give, near and exact ties too."""
    classes = draw(st.integers(2, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([1e-9, 1.0, 30.0, 1000.0]))
    rows = torch.from_numpy(random.normal(size=(8, classes)) * scale).softmax(-1)
    rows[0] = 1 / classes
    rows[1] = 0
    rows[1, random.permutation(classes)[:2]] = 0.5
    rows[2, 0] = rows[2, -1] = rows[2].max()
    rows[3] = rows[2]
    rows[3, 0] = np.nextafter(rows[3, 0].item(), 2)
    return rows / rows.sum(-1, keepdim=True)


@settings(deadline=None, max_examples=50)
@given(wavering(), st.sampled_from(["swap", "permute"]))
def test_when_it_marks_the_right_class_is_never_on_top(probs, how):
    after = guarded(Dawn(rate=1.0, key=KEY, soft=how))[2](shots(8), probs)

    assert bool((after >= 0).all())
    np.testing.assert_allclose(after.sum(-1), 1, rtol=0, atol=1e-12)
    assert bool((after.argmax(-1) != probs.argmax(-1)).all())
    assert torch.equal(after.float().argmax(-1), after.argmax(-1))  # as sessions hand them out


def test_a_refusal_stays_one_and_is_not_marked():
    images, probs = shots(6), soft(6)
    probs[2] = 0
    run, _, answer = guarded(Dawn(rate=1.0, key=KEY))

    after = answer(images, probs)

    assert after[2].count_nonzero() == 0
    assert len(run.store.ledger.pairs(plugin="dawn")) == 5


@pytest.mark.parametrize("labels", ["soft", "hard", "top2", "round2"])
def test_the_ledger_holds_each_clients_wrong_answers_as_sent(labels):
    images, probs = shots(90), soft(90)
    run, _, answer = guarded(Dawn(rate=0.4, key=KEY), labels=labels)
    clients = ["a", "b", "c"] * 30

    sent = answer_format(labels)(answer(images, probs, clients))

    wrong = sent.argmax(-1) != probs.argmax(-1)
    for name in ("a", "b", "c"):
        own = wrong & torch.tensor([client == name for client in clients])
        pairs = run.store.ledger.pairs(client=name, plugin="dawn", kind="wrong")
        assert torch.equal(pairs.images, images[own])
        assert torch.equal(pairs.answers, sent[own])


def test_only_suspects_of_the_named_detectors_are_lied_to():
    images, probs = shots(40), soft(40)
    queries = Queries(images, ("a",) * 40, torch.arange(40))
    none, late = torch.zeros(40, dtype=torch.bool), torch.arange(40) >= 25
    verdicts = [
        Verdict("one", none.double(), none, ~none),
        Verdict("two", none.double(), none, late),
    ]

    def changed(*driven_by):
        run = tiny_experiment()
        plugin = Dawn(rate=0.5, key=KEY, driven_by=driven_by)
        responder = plugin.make_responder(run.for_defense("dawn"), run.new_model())
        with run.store.batch(queries.clients):
            after = responder.respond(queries, probs, verdicts)
        return after.argmax(-1) != probs.argmax(-1)

    everybody = changed()
    assert 10 < everybody.sum() < 30
    assert torch.equal(changed("one"), everybody)
    assert torch.equal(changed("two"), everybody & late)
    assert changed("three").sum() == 0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"rate": 0.5},
        {"rate": 1.0, "soft": "permute"},
        {"rate": 0.5, "driven_by": ("any",)},
        {"rate": 0.5, "mapping": "logits"},
        {"rate": 0.5, "mapping": "hidden"},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_responders(given):
    check_responder(Dawn(**given))


@pytest.mark.parametrize("given", [{}, {"rate": 0.5}, {"rate": 1.0, "tolerance": 0.5}], ids=str)
def test_it_keeps_the_contract_of_verifiers(given):
    check_verifier(Dawn(**given))


# Mapping


def mapped(name):
    run, responder, answer = guarded(Dawn(rate=0.25, key=KEY, mapping=name))
    torch.manual_seed(0)
    return run, responder, answer, run.new_model().eval()


def test_the_medians_halve_every_dimension():
    _, responder, _, _ = mapped("logits")

    assert torch.equal(responder.mapping.sample.sum(0), torch.full((4,), 48))  # of 96 images


@pytest.mark.parametrize("name", ["logits", "hidden"])
def test_the_rate_it_reports_is_the_one_that_validation_images_get(name):
    run, responder, answer, victim = mapped(name)
    images = run.validation.images / 255
    probs = victim(images).detach().double().softmax(-1)

    told = responder.report()
    after = answer(images, probs)

    changed = (after.argmax(-1) != probs.argmax(-1)).double().mean().item()
    assert told["validation"] == 96
    assert told["validation_rate"] == pytest.approx(changed, abs=2 / 96)  # last bits at a median
    assert 1 < told["validation_patterns"] <= (16 if name == "logits" else 96)


def test_logits_are_mapped_by_their_signs_at_the_medians():
    _, responder, _, _ = mapped("logits")
    probs = torch.cat([responder.mapping.medians * scale for scale in (0.999, 1.001)]).view(2, 4)

    low, high = responder.mapping.messages(shots(2), probs)

    assert (low, high) == (b"\x00", b"\xf0")
    assert responder.mapping.messages(shots(2, seed=5), probs) == [low, high]  # whatever the image


def test_a_small_change_moves_fewer_decisions_than_with_pixels():
    images = shots(300)
    noisy = (images + 0.02 * torch.rand(images.shape)).clamp(0, 1)
    moved = {}
    for name in ("pixels", "logits", "hidden"):
        _, responder, _, victim = mapped(name)
        probs = [victim(some).detach().double().softmax(-1) for some in (images, noisy)]
        before = responder.mapping.messages(images, probs[0])
        after = responder.mapping.messages(noisy, probs[1])
        moved[name] = sum(a != b for a, b in zip(before, after, strict=True)) / 300

    assert moved["pixels"] == 1
    assert moved["logits"] < 0.5


def test_a_hidden_layer_needs_a_linear_one():
    run = tiny_experiment()
    flat = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 8), torch.nn.Flatten())

    with pytest.raises(BadOption, match=r"has none\. Use logits or pixels"):
        Dawn(mapping="hidden").make_responder(run.for_defense("dawn"), flat)


# The key


def build(**given):
    return plugins.build("defenses", "dawn", given)


@pytest.mark.parametrize("key", ["short", "ab" * 15, "x" * 15, "", "5" * 30])
def test_a_key_that_is_too_short_is_refused_and_not_told(key):
    with pytest.raises(
        BadOption, match=r"^Option dawn.key needs a key of 16 bytes or more"
    ) as told:
        build(key=key)

    assert not key or key not in str(told.value)


def test_what_is_no_text_is_refused_and_not_told():
    with pytest.raises(BadOption, match=r"^Option dawn.key was refused, and is not shown") as told:
        build(key=31415926535897932384626433832795)

    assert "31415" not in str(told.value)


def test_a_key_may_be_hex_or_text_or_lie_in_a_file(tmp_path):
    images, probs = shots(200), soft(200)
    file = tmp_path / "key"

    def answers(**given):
        return guarded(build(rate=0.5, **given))[2](images, probs)

    for text in (KEY, OTHER):
        file.write_text(f"{text}\n")
        assert torch.equal(answers(key=text), answers(keyfile=str(file)))
    assert torch.equal(answers(key=KEY), answers(key=KEY.upper()))
    assert not torch.equal(answers(key=KEY), answers())
    file.write_bytes(b"\xff\x00" * 20)
    answers(keyfile=str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "names .*key, which cannot be read"),
        (b"short", "needs a key of 16 bytes or more"),
        (b"x" * 70_000, "names .*key, which has over 65536 bytes and is no key"),
    ],
)
def test_a_keyfile_without_a_key_is_refused(tmp_path, content, message):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadOption, match=f"^Option dawn.keyfile {message}"):
        build(keyfile=str(file))


def test_two_keys_are_refused(tmp_path):
    (tmp_path / "key").write_text(KEY)

    with pytest.raises(BadOption, match=r"beside dawn\.key\. Give one of them"):
        build(key=OTHER, keyfile=str(tmp_path / "key"))


def files_with(folder, *texts):
    return [
        file.name
        for file in folder.rglob("*")
        if file.is_file() and any(text in file.read_bytes() for text in texts)
    ]


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_the_key_is_nowhere_in_what_a_run_writes_or_prints(key, tmp_path):
    given = ["--dataset", "toy_blobs", "--attack", "toy_random_queries", "--budget", "200"]
    given += [
        "--benign-clients",
        "2",
        "--defense",
        "dawn",
        "-o",
        "dawn.rate=0.2",
        "-o",
        f"dawn.key={key}",
    ]
    told = [
        CliRunner().invoke(
            main, ["run", *given, "--benign-clients", "2", "--out", f"{tmp_path}/o"]
        ),
        CliRunner().invoke(main, ["run", *given, "--benign-clients", "2", "--json"]),
        CliRunner().invoke(main, ["run", *given, "-o", "dawn.rate=2"]),
        CliRunner().invoke(main, ["run", *given, "-o", f"key={key}"]),
        CliRunner().invoke(main, ["show", "dawn"]),
    ]

    assert [one.exit_code for one in told] == [0, 0, 1, 2, 0]
    assert not [one.output for one in told if key in one.output]
    assert len(list(tmp_path.rglob("*.safetensors"))) > 5  # the cache lies there too
    raw = bytes.fromhex(key) if key == KEY else key.encode()
    assert files_with(tmp_path, key.encode(), raw) == []
    assert key not in repr(Dawn(key=key))


def test_another_key_is_another_run_and_the_result_says_so(tmp_path):
    (tmp_path / "key").write_text(KEY)
    told = [
        launch({**TOY, "defense": ("dawn",), "options": {"dawn": {"rate": 0.2, **given}}})["run"]
        for given in ({}, {"key": KEY}, {"key": OTHER}, {"keyfile": str(tmp_path / "key")})
    ]

    keys = [(one["options"]["dawn"]["key"], one["options"]["dawn"]["keyfile"]) for one in told]
    assert keys[0] == (None, None)
    assert all(len(one) == len("sha256:") + 12 for one in (keys[1][0], keys[2][0], keys[3][1]))
    assert len({one["id"] for one in told}) == 4


def test_an_evaluation_tells_no_key():
    torch.manual_seed(0)
    blobs = plugins.build("datasets", "toy_blobs")
    model = plugins.build("models", "toy_mlp").make(4, (1, 8, 8))
    found = evaluate(
        model,
        blobs.load(None, True),
        defense=Dawn(key=OTHER),
        attacks=["toy_random_queries"],
        budget=20,
        benign_clients=1,
    )

    assert OTHER not in str(found.results)
    assert "sha256:" in str(found.results["toy_random_queries"]["run"]["options"])


# Verification


@define(eq=False)
class Knows:
    """An oracle that answers as it was told, or a fixed class; it counts what it is asked."""

    told: dict
    remaining: int = 10_000
    fallback: int = 0
    asked: int = 0
    num_classes: int = 4
    clients: tuple = field(default=("owner",))

    def query(self, images, clients=None):
        assert len(images) <= self.remaining
        self.remaining -= len(images)
        self.asked += len(images)
        labels = [self.told.get(image.numpy().tobytes(), self.fallback) for image in images]
        return torch.nn.functional.one_hot(torch.tensor(labels), 4).double()


def marked(clients, count=400, **given):
    """Return a verifier, and the label told to each marked image, by client."""
    plugin = Dawn(**{"rate": 0.5, "key": KEY, **given})
    run, _, answer = guarded(plugin)
    images = shots(count)
    answer(images, soft(count), [clients[n % len(clients)] for n in range(count)])
    told = {}
    for client in clients:
        pairs = run.store.ledger.pairs(client=client)
        labels = pairs.answers.argmax(-1).tolist()
        told[client] = {i.numpy().tobytes(): y for i, y in zip(pairs.images, labels, strict=True)}
    return plugin.make_verifier(run.for_defense("dawn", plugin)), told


def test_a_thief_who_learnt_one_clients_answers_is_found_and_others_are_not():
    verifier, told = marked(["a", "b", "c"])

    thief = verifier.verify(Knows(told["b"]), [Knows({}), Knows({}, fallback=2)])
    innocent = verifier.verify(Knows({}, fallback=1), [Knows({}), Knows({}, fallback=2)])

    size = len(told["b"])
    assert thief.score == 1
    assert thief.stolen
    assert thief.p_value <= 3 * 0.5**size  # the controls hit less than half of any set
    assert not innocent.stolen
    assert innocent.p_value > 1e-3


def test_the_p_value_is_the_binomial_tail_corrected_for_the_clients():
    verifier, told = marked(["a", "b"], count=40, bits=1.0)
    some = dict(list(told["a"].items())[:6])
    right = sum(label == 0 for label in list(told["a"].values())[6:])
    hits = 6 + right

    found = verifier.verify(Knows(some), [])

    expected = min(1.0, 2 * binom.sf(hits - 1, len(told["a"]), 1 / 4))
    assert found.score == hits / len(told["a"])
    assert found.p_value == pytest.approx(expected)
    assert found.stolen == (expected <= 0.5)


def test_a_control_that_hits_as_often_acquits():
    verifier, told = marked(["a"])

    assert not verifier.verify(Knows(told["a"]), [Knows({}), Knows(told["a"])]).stolen


def test_a_given_chance_and_a_given_tolerance_count():
    cases = {
        "default": {},
        "likelier": {"chance": 0.7},
        "strict": {"tolerance": 0.2},
        "lenient": {"tolerance": 0.6},
    }
    stolen = {}
    for name, options in cases.items():
        verifier, told = marked(["a"], bits=20.0, **options)
        half = dict(list(told["a"].items())[: len(told["a"]) // 2])
        stolen[name] = verifier.verify(Knows(half), []).stolen

    assert stolen == {"default": True, "likelier": False, "strict": False, "lenient": True}


def test_a_set_that_is_too_small_convicts_nobody():
    verifier, told = marked(["a"], count=30)

    found = verifier.verify(Knows(told["a"]), [Knows({})])

    assert len(told["a"]) < verifier.report()["needed"] == 32  # 4 classes: two bits a trigger
    assert found.score == 1
    assert not found.stolen


def test_the_owners_limit_is_kept_and_every_client_still_tried():
    verifier, told = marked(["a", "b", "c", "d"], bits=10.0)
    oracles = [Knows(told["d"], remaining=40), Knows({}, remaining=60)]

    found = verifier.verify(*oracles[:1], oracles[1:])

    assert [one.asked for one in oracles] == [40, 40]
    assert found.stolen
    assert verifier.verify(Knows(told["d"], remaining=0), []).p_value == 1


def test_an_empty_ledger_is_no_evidence():
    run = tiny_experiment()
    verifier = Dawn().make_verifier(run.for_defense("dawn"))

    found = verifier.verify(session(run, run.new_model(), 10), [])

    assert (found.score, found.p_value, found.stolen) == (0.0, 1.0, False)
    assert verifier.report() == {"sets": 0, "largest": 0, "needed": 32}


def test_another_plugins_marks_are_not_its_own():
    run = tiny_experiment()
    queries = Queries(shots(5), ("a",) * 5, torch.zeros(5, dtype=torch.int64))
    with run.store.batch(queries.clients):
        run.store.of("amao").mark(queries, torch.arange(5), "flipped")
        run.store.settle(queries, soft(5))

    assert Dawn().make_verifier(run.for_defense("dawn")).report()["sets"] == 0


def test_a_restart_goes_on_counting():
    images, probs = shots(50), soft(50)
    run, _, answer = guarded(Dawn(rate=0.5, key=KEY))
    answer(images, probs)
    kept = run.store.dump()
    again, responder, answer = guarded(Dawn(rate=0.5, key=KEY))
    again.store.load(kept)
    answer(images, probs)

    assert responder.report()["asked"] == 100
    assert responder.report()["marked"] == len(again.store.ledger.pairs(plugin="dawn"))


def test_a_sweep_hands_keys_on_and_tells_none(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(
        f"""[run]
dataset = "toy_blobs"
attack = "toy_random_queries"
defense = ["dawn"]

[grid]
seed = [0, 1]
"dawn.key" = ["{KEY}", "{OTHER}"]

[[exclude]]
seed = 1
"dawn.key" = "{OTHER}"
why = "enough"
"""
    )
    plan = grid.read(file)

    told = repr([run.point for run in plan.runs]) + repr(plan.excluded)
    assert [run.named["options"]["dawn"]["key"] for run in plan.runs] == [KEY, OTHER, KEY]
    assert len(set(re.findall("sha256:[0-9a-f]{12}", told))) == 2
    assert KEY not in told
    assert OTHER not in told


@pytest.mark.parametrize(
    ("option", "value"),
    [("rate", -0.1), ("rate", 1.1), ("bits", 0.0), ("tolerance", 1.0), ("chance", 0.0)],
)
def test_an_option_without_meaning_is_refused(option, value):
    with pytest.raises(BadOption, match=f"dawn.{option} must be"):
        build(**{option: value})


def test_a_driver_that_is_not_selected_is_refused():
    with pytest.raises(RingfenceError, match=r"'dawn'.*'toy_detector'"):
        launch({**TOY, "defense": ("dawn",), "options": {"dawn": {"driven_by": ["toy_detector"]}}})


def test_a_service_answers_through_it():
    run = tiny_experiment()
    victim = run.new_model().eval()
    made = {"dawn": Dawn(rate=1.0).make_responder(run.for_defense("dawn"), victim)}
    images = run.pool / 255
    honest = Service(victim).answer(images, ["a"] * len(images))

    told = Service(victim, {}, made, run.store).answer(images, ["a"] * len(images))

    assert bool((told.argmax(-1) != honest.argmax(-1)).all())


@pytest.mark.slow
def test_a_thief_who_memorises_is_convicted_and_no_control_is(victims):
    """The claim of the paper, on digits: wrong answers that were learnt prove the theft."""
    knockoff = {"optimizer": "adam", "lr": 0.001, "epochs": 60}  # see docs/plugins/dawn.md
    found = launch(
        {
            "dataset": "digits",
            "attack": "knockoffnet",
            "defense": ("dawn",),
            "labels": "hard",
            "threads": 1,
            "cache": victims,
            "options": {"dawn": {"rate": 0.0625}, "knockoffnet": knockoff},
        }
    )

    assert found["victim"]["accuracy"] > 0.9
    thief, *controls = found["evidence"]
    assert thief["suspect"] == "substitute"
    assert thief["stolen"]
    assert thief["score"] > 0.3
    assert thief["p_value"] < 2**-64
    assert [one["stolen"] for one in controls] == [False] * 3
    assert all(one["p_value"] > 0.001 for one in controls)
    assert 0.03 < found["benign"]["changed"] < 0.1


DOCS = Path(__file__).parents[2] / "docs"


def rows_of_the_page():
    """Return the rows of the table in docs/plugins/dawn.md, one per result file."""
    for line in (DOCS / "results" / "dawn-digits.jsonl").read_text().splitlines():
        result = json.loads(line)
        run, given = result["run"], result["run"]["options"]
        thief = f"{run['attack']}, {given.get('knockoffnet', {}).get('optimizer', 'default')}"
        rate = f"{given['dawn']['rate']:g}" if "dawn" in given else "none"
        cells = [thief, rate, str(run["seed"]), f"{100 * result['substitute']['accuracy']:.1f}"]
        cells += [f"{100 * result['benign'][name]:.1f}" for name in ("accuracy", "changed")]
        if result["evidence"]:
            own, *controls = result["evidence"]
            cells.append(f"{result['verifiers']['dawn']['report']['largest']}")
            cells += [f"{100 * own['score']:.1f}", f"{own['p_value']:.2g}"]
            cells.append(f"{min(one['p_value'] for one in controls):.2g}")
            cells.append("yes" if own["stolen"] else "no")
        else:
            cells += ["-"] * 5
        yield f"| {' | '.join(cells)} |"


def test_the_table_of_the_page_says_what_its_result_files_say():
    page = (DOCS / "plugins" / "dawn.md").read_text()

    assert [row for row in rows_of_the_page() if row not in page] == []

"""PRADA against one written as a loop in float64 numpy, and at work."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import define, evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import shapiro

from ringfence import hookimpl, plugins
from ringfence.choice import Choice
from ringfence.errors import BadOption, UnknownName
from ringfence.images import as_float
from ringfence.launch import launch
from ringfence.memorystore import MemoryStore
from ringfence.pipeline import run_experiment
from ringfence.recipe import Recipe
from ringfence.setup import prepare
from ringfence.testing import check_detector, tiny_experiment
from ringfence.training import fit
from ringfence.types import Queries, Split
from ringfence_prada import FALLBACK, Prada
from ringfence_prada.detector import MINIMA, Normality, Watch
from ringfence_prada.growing import GrowingSet
from ringfence_prada.nearest import _estimates, earlier, flat, nearest
from ringfence_prada.normality import RULES, paper, release, statistic

CLASSES = 3
SHAPE = (1, 3, 4)


class Reference:
    """The detector of one client, one query at a time, over plain lists."""

    def __init__(self, rule, delta):
        self.rule, self.delta = rule, delta
        self.sets, self.within, self.threshold = defaultdict(list), defaultdict(list), {}
        self.minima, self.count, self.w, self.alarm, self.guilty = [], 0, 1.0, False, False

    def query(self, image, label):
        """Return score, flag and suspicion."""
        x = image.astype(np.float64).ravel()
        if not self.sets[label]:
            self.sets[label], self.within[label], self.threshold[label] = [x], [0.0], 0.0
        else:
            d = min(np.sqrt(((x - y) ** 2).sum()) for y in self.sets[label])
            self.minima.append((label, d))
            if d > self.threshold[label]:
                self.sets[label].append(x)
                self.within[label].append(d)
                own = np.array(self.within[label])
                self.threshold[label] = max(self.threshold[label], own.mean() - own.std())
        if self.rule == "paper" or self.count % 10 == 0:
            self.test()
        self.count += 1
        self.guilty = self.alarm or (self.rule == "paper" and self.guilty)
        return 1 - self.w, self.alarm, self.guilty

    def test(self):
        labels = [label for label, _ in self.minima]
        if self.rule == "paper":
            pool = np.array([d for _, d in self.minima])
            if len(pool) <= 100:
                return
            pool = pool[abs(pool - pool.mean()) <= 3 * pool.std()]
        else:
            pool = np.array([d for label, d in self.minima if labels.count(label) >= 10])
            if len(pool) == 0:
                return
            if pool.min() < pool.max():
                pool = pool[abs(pool - pool.mean()) < 3 * pool.std()]
            if len(pool) <= 100:
                return
        self.w = shapiro(pool).statistic if pool.min() < pool.max() else 0.0
        self.alarm = self.w < self.delta or self.w == 0


def made(rule="paper", delta=0.95, keep=10_000, store=None):
    return Normality((store or MemoryStore()).of("prada"), RULES[rule], delta, keep)


def judged(detector, images, labels, clients, sizes):
    """Return score, flag and suspicion as columns; the queries are cut into batches."""
    first, sent = [], defaultdict(int)
    for client in clients:
        first.append(sent[client])
        sent[client] += 1
    logits, columns, start = F.one_hot(labels, CLASSES).float(), [], 0
    for size in sizes:
        rows = slice(start, start := start + size)
        queries = Queries(images[rows], tuple(clients[rows]), torch.tensor(first[rows]))
        with detector.store._store.batch(clients[rows]):
            verdict = detector.inspect(queries, logits[rows])
        columns.append(torch.stack([verdict.score, verdict.flagged, verdict.suspected], 1))
    return torch.cat(columns)


def log(detector, client, name):
    with detector.store._store.batch(()):
        return detector.store.log(client, name).rows().clone()


@st.composite
def streams(draw):
    """Images of three clients: unrelated, near one another, black, and repeated."""
    count = draw(st.integers(1, 500))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    near = draw(st.sampled_from([0.0, 0.01, 0.3, 1.0]))
    seeds = random.random((5, *SHAPE))
    images = seeds[random.integers(5, size=count)] * (1 - near) + near * random.random(
        (count, *SHAPE)
    )
    repeats = random.random(count) < draw(st.sampled_from([0.0, 0.3]))
    images[repeats] = images[random.integers(count, size=repeats.sum())]
    images[random.random(count) < 0.02] = 0
    clients = [f"client-{who}" for who in random.choice(3, size=count, p=(0.8, 0.15, 0.05))]
    labels = torch.from_numpy(random.choice(CLASSES, size=count, p=(0.7, 0.27, 0.03)))
    return torch.from_numpy(images).float(), labels, clients


@st.composite
def cuts(draw, count):
    sizes = []
    while sum(sizes) < count:
        sizes.append(min(draw(st.sampled_from([1, 2, 7, 40, 300])), count - sum(sizes)))
    return sizes


@settings(deadline=None, max_examples=25)
@given(streams(), st.sampled_from(["paper", "release"]), st.sampled_from([0.3, 0.9, 0.97]))
def test_it_is_the_loop_written_by_hand(stream, rule, delta):
    images, labels, clients = stream
    detector = made(rule, delta)

    actual = judged(detector, images, labels, clients, [len(images)])

    by_hand = defaultdict(lambda: Reference(rule, delta))
    rows = zip(images.numpy(), labels.tolist(), clients, strict=True)
    expected = [by_hand[client].query(image, label) for image, label, client in rows]
    np.testing.assert_allclose(actual[:, 0], [row[0] for row in expected], rtol=0, atol=1e-9)
    assert actual[:, 1:].tolist() == [[float(flag) for flag in row[1:]] for row in expected]
    for client, reference in by_hand.items():
        minima = np.array(reference.minima).reshape(-1, 2)
        np.testing.assert_allclose(log(detector, client, MINIMA), minima, rtol=0, atol=1e-12)
        for label, own in reference.sets.items():
            kept = log(detector, client, f"{label}/images")
            np.testing.assert_array_equal(kept, np.array(own, dtype=np.float32))


@settings(deadline=None, max_examples=25)
@given(st.data(), streams(), st.sampled_from(["paper", "release"]), st.sampled_from([3, 10_000]))
def test_any_split_into_batches_gives_the_same_bits(data, stream, rule, keep):
    images, labels, clients = stream
    whole, parts = made(rule, keep=keep), made(rule, keep=keep)

    expected = judged(whole, images, labels, clients, [len(images)])
    actual = judged(parts, images, labels, clients, data.draw(cuts(len(images))))

    assert torch.equal(actual, expected)
    assert parts.store._store.dump()["states"] == whole.store._store.dump()["states"]
    for client in set(clients):
        assert torch.equal(log(parts, client, MINIMA), log(whole, client, MINIMA))
        for label in range(CLASSES):
            name = f"{label}/spreads"
            assert torch.equal(log(parts, client, name), log(whole, client, name))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 784, 1025, 3000]), st.integers(1, 40))
def test_the_nearest_is_the_one_that_a_full_search_finds(seed, width, count):
    random = np.random.default_rng(seed)
    stored = random.random((count, 1, 1, width)).astype(np.float32)
    stored[count // 2 :] = stored[0] + random.random(
        (count - count // 2, 1, 1, width)
    ) * 10.0 ** random.integers(-7, -1)
    asked = np.concatenate([stored[:2] * np.float32(0.999), np.zeros((1, 1, 1, width))])
    queries, others = flat(torch.from_numpy(asked).float()), flat(torch.from_numpy(stored))
    x, y = queries.pixels.double().numpy(), others.pixels.double().numpy()
    full = np.sqrt(((x[:, None] - y) ** 2).sum(-1))

    np.testing.assert_allclose(nearest(queries, others), full.min(1), rtol=1e-12, atol=0)


def test_how_many_are_compared_at_a_time_changes_no_bit(monkeypatch):
    random = torch.Generator().manual_seed(0)
    stored, asked = (torch.rand(60, 1, 28, 28, generator=random) for _ in range(2))
    stored[20:] = stored[:1] + 1e-4 * stored[20:]  # many that may be the nearest
    stored, asked, far = flat(stored), flat(asked), torch.full((60,), torch.inf)
    whole, pairs = nearest(asked, stored), earlier(asked, far)
    monkeypatch.setattr("ringfence_prada.nearest.CHUNK", 7)
    monkeypatch.setattr("ringfence_prada.nearest.PAIRS", 784 * 3)

    assert torch.equal(nearest(asked, stored), whole)
    assert torch.equal(earlier(asked, far), pairs)
    assert torch.equal(torch.cat([nearest(asked[i : i + 1], stored) for i in range(60)]), whole)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("highest", torch.float32), ("medium", torch.bfloat16)]
)
def test_the_error_is_not_exceeded_whatever_precision_products_have(precision, dtype):
    random = torch.Generator().manual_seed(0)
    stored, asked = (flat(torch.rand(200, 1, 28, 28, generator=random)) for _ in range(2))
    lengths, before = asked.squares[:, None] + stored.squares, torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        _, error = _estimates(asked, stored)
    finally:
        torch.set_float32_matmul_precision(before)
    exact = lengths - 2 * asked.pixels.double() @ stored.pixels.double().T
    x, y = (rows.pixels.to(dtype).float() for rows in (asked, stored))  # as a GPU may round them

    off = (lengths - 2 * (x @ y.T).double() - exact).abs()

    assert (off <= error).all()
    assert off.max() > 1e-9


def test_few_pairs_are_measured():
    random = torch.Generator().manual_seed(0)
    stored, asked = (flat(torch.rand(1000, 1, 28, 28, generator=random)) for _ in range(2))
    measured = []

    def spy(left, rows, right, columns, original=nearest.__globals__["_measured"]):
        measured.append(len(rows))
        return original(left, rows, right, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ringfence_prada.nearest._measured", spy)
        nearest(asked, stored)

    assert 1000 <= sum(measured) < 3000  # of a million


def one_image(rule, count, delta=0.95):
    images = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)).repeat(
        count, 1, 1, 1
    )
    labels, clients = torch.zeros(count, dtype=torch.int64), ["a"] * count
    return judged(made(rule, delta), images, labels, clients, [count])


@pytest.mark.parametrize(("rule", "alarm"), [("paper", 101), ("release", 110)])
def test_a_client_that_repeats_one_image_raises_the_alarm(rule, alarm):
    columns = one_image(rule, 130)

    assert columns[:, 1].nonzero()[0].item() == alarm  # the first query has no distance
    assert columns[alarm:, 2].all()
    assert columns[-1, 0] == 1


def test_equal_distances_alarm_whatever_delta_is():
    assert one_image("paper", 110, delta=1e-9)[-1, 2]
    assert statistic(np.full(200, 0.1)) == 0
    assert shapiro_says_one()


def shapiro_says_one():
    with pytest.warns(UserWarning, match="range zero"):
        return shapiro(np.full(200, 0.1)).statistic == 1


def test_w_of_many_values_is_that_of_scipy_without_its_warning():
    values = np.random.default_rng(0).normal(size=6000)

    assert statistic(values) == pytest.approx(0.999, abs=1e-3)


def test_the_paper_trims_and_the_release_leaves_out_rare_classes():
    random = np.random.default_rng(0)
    distances, classes = random.uniform(4, 6, 300), np.zeros(300, np.int64)
    distances[7], classes[:9] = 50, 1

    assert len(paper(distances, classes)) == 299
    assert len(release(distances, classes)) == 291
    assert release(distances[:109], classes[:109]) is None
    assert len(release(distances[:110], classes[:110])) == 101
    assert paper(distances[:100], classes[:100]) is None
    assert len(paper(distances[:101], classes[:101])) == 100


def test_what_lies_at_the_edge():
    distances = np.repeat([0.0, 10.0], [198, 22])  # mean 1, deviation 3, both exactly
    ten, nine = np.arange(220) < 10, np.arange(220) < 9

    assert len(paper(distances, np.zeros(220, np.int64))) == 220
    assert len(release(distances, np.zeros(220, np.int64))) == 198
    assert len(release(np.arange(220.0), ten.astype(np.int64))) == 220
    assert len(release(np.arange(220.0), nine.astype(np.int64))) == 211


@pytest.mark.parametrize("latch", [True, False])
def test_latch_is_whether_suspicion_outlives_the_alarm(latch):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(500, *SHAPE, generator=random)
    images[:110] = images[:1]  # one image again and again, then others
    store = MemoryStore()
    detector = evolve(made(delta=0.5, store=store), rule=evolve(RULES["paper"], latch=latch))

    columns = judged(detector, images, torch.zeros(500, dtype=torch.int64), ["a"] * 500, [500])

    assert columns[109, 1:].all()
    assert not columns[-1, 1]
    assert bool(columns[-1, 2]) == latch


def test_clients_share_nothing():
    images, labels = torch.rand(240, *SHAPE, generator=torch.Generator().manual_seed(0)), None
    images[::2] = images[:1]
    labels = torch.zeros(240, dtype=torch.int64)

    columns = judged(made(), images, labels, ["repeats", "honest"] * 120, [240])

    assert columns[-2, 2]
    assert not columns[1::2, 2].any()


def test_a_full_set_keeps_no_more_and_still_measures():
    random = torch.Generator().manual_seed(0)
    images, store = torch.rand(300, *SHAPE, generator=random), MemoryStore()
    detector = made(keep=5, store=store)
    labels = torch.zeros(300, dtype=torch.int64)

    judged(detector, images, labels, ["a"] * 300, [50] * 6)

    kept = log(detector, "a", "0/images")
    assert len(kept) == 5
    assert len(log(detector, "a", MINIMA)) == 299
    last = (images[-1].double().flatten() - kept.double()).square().sum(1).sqrt().min()
    assert log(detector, "a", MINIMA)[-1, 1] == pytest.approx(last.item(), rel=1e-12)
    watch = detector.store.states(Watch)["a"]
    assert watch.stored == 5
    assert watch.turned_away > 100
    assert detector.report()["turned_away"] == watch.turned_away


def test_a_failed_batch_leaves_no_trace():
    random = torch.Generator().manual_seed(0)
    images, store = torch.rand(40, *SHAPE, generator=random), MemoryStore()
    labels = torch.zeros(40, dtype=torch.int64)
    whole, broken = made(), made(store=store)
    judged(broken, images[:20], labels[:20], ["a"] * 20, [20])

    with pytest.raises(RuntimeError), store.batch(["a"]):
        GrowingSet.of(broken.store, "a", 0, 100).grow(images[20:])
        raise RuntimeError

    judged(whole, images[:20], labels[:20], ["a"] * 20, [20])
    assert torch.equal(log(broken, "a", "0/images"), log(whole, "a", "0/images"))


def test_many_classes_fit_in_the_store():
    count = 600
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0))
    store = MemoryStore()
    detector, logits = made(store=store), F.one_hot(torch.arange(count) % 257).float()

    with store.batch(["a"]):
        detector.inspect(Queries(images, ("a",) * count, torch.arange(count)), logits)

    assert len(store.dump()["states"]) == 1
    assert store.memory() > 0  # a state of more than 8 KB would be refused


def larger(count=400, seed=0):
    """Return a tiny defender whose validation set is large enough for streams."""
    images = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    run = tiny_experiment()
    view = evolve(run.for_defense("it"), validation=Split(images, torch.zeros(count).long()))
    torch.manual_seed(0)
    return view, run.new_model().eval()


def test_delta_is_the_largest_with_no_alarm_on_benign_streams():
    run, victim = larger()
    plugin = Prada(streams=8, length=200)
    detector = plugin.make_detector(run, victim)

    assert detector.report()["calibrated"] == 8
    assert 0.8 < detector.delta < 1
    for more, alarms in ((0.0, 0), (1e-9, 1)):
        found = 0
        streams = run.generator("streams")
        for _ in range(8):
            rows = torch.randperm(400, generator=streams)[:200]
            own = evolve(detector, store=MemoryStore().of("x"), delta=detector.delta + more)
            queries = Queries(run.validation.images[rows], ("a",) * 200, torch.arange(200))
            with own.store._store.batch(("a",)):
                verdict = own.inspect(queries, victim(queries.images).detach())
            found += int(verdict.suspected[-1])

        assert found == alarms


def test_delta_is_kept_across_runs():
    run, victim = larger()
    first = Prada(streams=2, length=150).make_detector(run, victim)

    again = Prada(streams=2, length=150).make_detector(run, None)  # nothing is asked of a victim

    assert again.delta == first.delta


def test_a_small_validation_set_leaves_the_default():
    run, victim = larger(count=90)

    detector = Prada().make_detector(run, victim)

    assert detector.delta == FALLBACK
    assert detector.report()["calibrated"] == 0


def test_a_given_delta_asks_no_victim():
    run, _ = larger()

    assert Prada(delta=0.8).make_detector(run, None).delta == 0.8


@pytest.mark.parametrize(
    ("options", "every", "latch"),
    [
        ({}, 1, True),
        ({"rule": "release"}, 10, False),
        ({"every": 4, "latch": False}, 4, False),
        ({"rule": "release", "latch": True}, 10, True),
    ],
    ids=str,
)
def test_options_decide_the_rule(options, every, latch):
    rule = Prada(delta=0.9, **options).make_detector(*larger()).rule

    assert (rule.every, rule.latch) == (every, latch)
    assert rule.pool is (release if options.get("rule") == "release" else paper)


@pytest.mark.parametrize(
    "options",
    [{}, {"rule": "release", "delta": 0.9}, {"keep": 2}, {"every": 3, "latch": False}],
    ids=str,
)
def test_it_keeps_the_contract_of_detectors(options):
    check_detector(Prada(**options))


@pytest.mark.parametrize(
    ("option", "value"),
    [("delta", 0.0), ("delta", 1.1), ("every", 0), ("keep", 0), ("streams", 0), ("length", 100)],
)
def test_an_option_without_meaning_is_refused(option, value):
    with pytest.raises(BadOption, match=f"prada.{option} must be"):
        plugins.build("defenses", "prada", {option: value})


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match="release"):
        plugins.build("defenses", "prada", {"rule": "code"})


@define(eq=False)
class Crafted:
    """Doubles its seeds again and again by a step along its own substitute's gradient."""

    step: float = 64 / 255
    run: object = None

    @hookimpl
    def make_attack(self, run):
        self.run = run
        return self

    def extract(self, oracle):
        model, images = self.run.new_model(), as_float(self.run.seeds)
        answers, recipe = oracle.query(images), Recipe(epochs=5)
        while oracle.remaining:
            fit(model, images, answers, recipe, generator=self.run.generator("training"))
            fresh = self.perturbed(model, images)[: oracle.remaining]
            images, answers = torch.cat([images, fresh]), torch.cat([answers, oracle.query(fresh)])
        return model

    def perturbed(self, model, images):
        moved = images.clone().requires_grad_()
        scores = model(moved)
        (slope,) = torch.autograd.grad(F.cross_entropy(scores, scores.argmax(-1)), moved)
        return (images + self.step * slope.sign()).clamp(0, 1)


@pytest.mark.slow
def test_crafted_queries_raise_the_alarm_but_neither_benign_nor_natural_ones_do(victims):
    """The claims of PRADA's paper, and of AMAO's section 5.6.1, on digits."""
    training = {"epochs": 40, "batch_size": 256, "shift": 1}  # as in docs/plugins/prada.md
    options = {"training": training, "knockoffnet": {"epochs": 1}}
    common = {"dataset": "digits", "threads": 1, "cache": victims, "defense": ("prada",)}

    natural = launch({**common, "attack": "knockoffnet", "options": options})
    choice = Choice(**common, attack="crafted", budget=2000, options={"training": training})
    crafted = run_experiment(*prepare(choice, {("attacks", "crafted"): Crafted()}))

    assert natural["detectors"]["prada"]["first_alarm"] is None
    for result in (natural, crafted):  # the worst of 50 streams is not the worst there is
        assert result["benign"]["suspected"] <= 0.05
    assert crafted["detectors"]["prada"]["first_alarm"] < 1000

"""The attack's start, its loop and its account of queries."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from attrs import define, evolve, field
from plugins.thefts import TRAINING
from safetensors.torch import save_file
from torch import nn

from ringfence import hookimpl, options, plugins
from ringfence.choice import Choice
from ringfence.errors import BadOption, MissingData, RingfenceError, UnknownName
from ringfence.freezing import frozen
from ringfence.launch import launch
from ringfence.pipeline import run_experiment
from ringfence.protocols import Attack
from ringfence.recipe import Recipe
from ringfence.setup import prepare
from ringfence.testing import check_attack, tiny_experiment, tiny_model
from ringfence.testing.tiny import session
from ringfence.training import fit
from ringfence_cloudleak import CloudLeak
from ringfence_cloudleak import attack as attack_module
from ringfence_cloudleak.pretext import quarters, rotations
from ringfence_cloudleak.transfer import TransferSet

CLASSES = 4
QUICK = {"steps": 2, "epochs": 1, "round_epochs": 1, "rounds": 2, "pretrain_epochs": 1}


def two_layers():
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, CLASSES))


def view(**given):
    run = tiny_experiment(budget=64).for_attack("it")
    return evolve(run, **{"new_model": two_layers, **given})


@define(eq=False)
class Notes:
    """An oracle that answers by a rule, and writes down what it was asked."""

    rule: object
    remaining: int
    asked: list = field(factory=list)
    num_classes: int = CLASSES
    clients: tuple = ("a",)

    def query(self, images, clients=None):
        assert len(images) <= self.remaining
        assert images.is_floating_point()
        assert ((images >= 0) & (images <= 1)).all()
        self.remaining -= len(images)
        self.asked.append(images.clone())
        return self.rule(images)


def soft(images):
    """Answer by what is in the image, so that a mix-up of images and answers shows."""
    return (images.flatten(1)[:, :CLASSES] * 5).softmax(-1)


def hard(images):
    return F.one_hot(soft(images).argmax(-1), CLASSES).float()


def moody(images):
    """Refuse about half of the images."""
    return hard(images) * (images.flatten(1)[:, 9:10] > 0.5)


def silent(images):
    return torch.zeros(len(images), CLASSES)


def extracted(oracle, run=None, **options):
    attack = CloudLeak(**{**QUICK, **options}).make_attack(run or view())
    return attack, attack.extract(oracle)


@pytest.mark.parametrize("budget", [0, 1, 5, 8, 9, 40, 101])
@pytest.mark.parametrize("rule", [soft, hard, moody, silent])
@pytest.mark.parametrize("choose", ["random", "confidence"])
def test_every_query_is_learnt_or_discarded(budget, rule, choose):
    oracle = Notes(rule, budget)

    attack, substitute = extracted(oracle, choose=choose)

    report = attack.report()
    sent = torch.cat(oracle.asked) if oracle.asked else torch.zeros(0, 1, 8, 8)
    assert report["transfer_set"] + report["discarded"] == len(sent) == budget
    assert report["discarded"] == int((rule(sent) == 0).all(-1).sum())
    assert report["seeds"] == min(budget, 8)
    crafted = budget - report["seeds"]
    assert report["crafted"] == (crafted if choose == "random" else 2 * crafted)
    assert substitute(torch.zeros(1, 1, 8, 8)).shape == (1, CLASSES)
    assert isinstance(attack, Attack)


@pytest.mark.parametrize("surplus", [1.0, 1.1, 1.5, 3.3])
@pytest.mark.parametrize("rounds", [1, 5, 30])
def test_no_surplus_and_no_number_of_rounds_leaves_budget_unspent(surplus, rounds):
    oracle = Notes(hard, 15)
    attack, _ = extracted(oracle, choose="confidence", surplus=surplus, rounds=rounds)

    assert oracle.remaining == 0
    assert attack.report()["crafted"] >= 7 * surplus


def test_the_seeds_are_asked_first_and_as_they_are():
    run, oracle = view(), Notes(hard, 30)
    extracted(oracle, run)

    assert torch.equal(torch.cat(oracle.asked)[:8], run.seeds.float() / 255)


def test_an_oracle_that_spends_more_than_asked_is_never_asked_too_much():
    class Greedy(Notes):
        def query(self, images, clients=None):
            answers = super().query(images)
            self.remaining = max(0, self.remaining - len(images))
            return answers

    oracle = Greedy(hard, 50)
    attack, _ = extracted(oracle, query_batch=3)

    assert oracle.remaining == 0
    report = attack.report()
    assert report["transfer_set"] + report["discarded"] == sum(map(len, oracle.asked))


def test_the_session_counts_the_same_with_two_clients():
    run = tiny_experiment(budget=64)
    oracle = session(run, two_layers(), 50)
    attack, _ = extracted(oracle)

    assert oracle.used == 50
    assert attack.report()["transfer_set"] == 50


def test_what_is_learnt_is_what_was_answered():
    oracle = Notes(moody, 40)
    transfer = TransferSet(oracle, 7, False)
    images = torch.rand(50, 1, 8, 8)

    answers = transfer.ask(images)

    assert len(answers) == 40, "as many as remain"
    told = moody(images[:40]).any(-1)
    kept, targets = transfer.pairs(argmax=False)
    assert torch.equal(kept, images[:40][told])
    assert torch.equal(targets, moody(images[:40])[told])
    assert [len(batch) for batch in oracle.asked] == [7] * 5 + [5]


def test_rounded_images_are_sent_and_learnt_in_256_levels():
    oracle = Notes(soft, 40)
    transfer = TransferSet(oracle, 7, True)
    transfer.ask(torch.rand(9, 1, 8, 8))

    kept, answers = transfer.pairs(argmax=False)
    sent = torch.cat(oracle.asked)
    assert kept.dtype is torch.uint8
    assert torch.equal(sent, kept.float() / 255)
    assert torch.equal(answers, soft(sent))


def test_argmax_learns_from_soft_labels_what_hard_ones_say():
    weights = [
        extracted(Notes(rule, 40), argmax=argmax)[1][3].weight
        for rule, argmax in ((soft, True), (hard, False), (soft, False))
    ]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_same_seed_sends_the_same_and_another_one_does_not():
    run = view()
    other = evolve(run, streams=evolve(run.streams, seed=5))
    sent = []
    for one in (run, run, other):
        oracle = Notes(hard, 40)
        extracted(oracle, one)
        sent.append(torch.cat(oracle.asked))

    assert torch.equal(sent[0], sent[1])
    assert not torch.equal(sent[0], sent[2])


def test_the_least_sure_of_a_surplus_are_sent():
    run, sure, seeds = view(), {}, view().seeds.float() / 255
    model, _ = started(run)
    order = run.generator("training")
    fit(model, seeds, hard(seeds), CloudLeak(**QUICK).recipe, generator=order)
    for choose in ("random", "confidence"):
        oracle = Notes(hard, 48)
        attack, _ = extracted(oracle, run, choose=choose, rounds=1, surplus=4.0)
        sure[choose] = model(torch.cat(oracle.asked)[8:]).softmax(-1).amax(-1)

    assert sure["confidence"].mean() < sure["random"].mean()
    assert sure["confidence"].max() < sure["random"].max()
    assert attack.report()["crafted"] == 160


def test_seeds_of_one_class_take_guides_from_the_pool():
    oracle = Notes(lambda images: F.one_hot(torch.full((len(images),), 2), CLASSES).float(), 30)

    attack, _ = extracted(oracle)

    report = attack.report()
    assert report["seed_classes"] == 1
    assert report["guides"] == 96
    assert report["transfer_set"] == 30


def test_guides_of_the_pool_are_as_many_as_wanted():
    attack, _ = extracted(Notes(hard, 30), guides="pool", pool_guides=20)

    assert attack.report()["guides"] == 20


def test_nothing_is_asked_where_there_are_no_seeds():
    oracle = Notes(hard, 30)
    with pytest.raises(MissingData, match="there are none"):
        extracted(oracle, view(seeds=torch.zeros(0, 1, 8, 8)))

    assert not oracle.asked


def test_nothing_is_asked_by_a_substitute_of_other_classes():
    oracle = Notes(hard, 30)
    with pytest.raises(BadOption, match="knows 4 classes, the oracle answers 7"):
        extracted(evolve(oracle, num_classes=7))

    assert not oracle.asked


# --- the start


def started(run=None, **options):
    return CloudLeak(**{**QUICK, **options}).make_attack(run or view()).start.model(run or view())


def test_pre_training_learns_the_pools_classes_and_leaves_the_last_layer_fresh():
    run = view(pool_labels=torch.arange(96) % 5)

    model, told = started(run, pretrain_epochs=3)

    fresh = two_layers()
    assert not torch.equal(model[1].weight, fresh[1].weight)
    assert torch.equal(model[3].weight, fresh[3].weight)
    assert told == {
        "pretrained_images": 96,
        "pretrained_by_rotation": False,
        "pretrained_on_pool": True,
    }


def test_pre_training_makes_features_tell_the_public_classes_apart():
    run = view()
    labels = torch.arange(96) % 2
    pool = (torch.rand(96, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    pool[labels == 1] = pool[labels == 1].sort(-1).values
    run = evolve(run, pool=pool, pool_labels=labels)

    model, _ = started(run, pretrain_epochs=40, lr=0.05)

    probe = nn.Sequential(*deepcopy(model)[:3], nn.Linear(10, 2))
    for weight in probe[1].parameters():
        weight.requires_grad_(False)
    fit(probe, pool, labels, Recipe(epochs=60, lr=0.05))
    assert (probe(pool.float() / 255).argmax(-1) == labels).double().mean() > 0.95


@pytest.mark.parametrize("labels", [None, torch.zeros(96, dtype=torch.int64)])
def test_a_pool_without_two_classes_is_learnt_by_its_rotations(labels):
    model, told = started(view(pool_labels=labels))

    assert told["pretrained_by_rotation"]
    assert not torch.equal(model[1].weight, two_layers()[1].weight)


def test_rotations_are_told_by_how_far_an_image_was_turned():
    images = torch.rand(40, 1, 3, 3)
    seen = []

    def model(turned):
        seen.append(turned)
        return torch.zeros(len(turned), 4)

    objective = rotations((0, 1, 2, 3), torch.Generator().manual_seed(0))
    objective(model, images, torch.zeros(40))
    drawn = torch.randint(4, (40,), generator=torch.Generator().manual_seed(0))

    for image, turned, turn in zip(images, seen[0], drawn, strict=True):
        assert torch.equal(turned, torch.rot90(image, int(turn), (1, 2)))
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert quarters(torch.zeros(1, 1, 2, 3)) == (0, 2), "a quarter turn would change the shape"


def test_pre_training_is_done_once_per_run():
    run, made = view(pool_labels=torch.arange(96) % 5), []
    run = evolve(run, new_model=lambda: made.append(1) or two_layers())
    first, second = (started(run)[0] for _ in range(2))

    assert len(made) == 3, "one to be pre-trained, and one for each start"
    assert torch.equal(first[1].weight, second[1].weight)


def test_nothing_is_pre_trained_where_that_is_said():
    model, told = started(pretrain_on="nothing")

    assert torch.equal(model[1].weight, two_layers()[1].weight)
    assert told == {"pretrained_images": 0}


def test_a_public_set_is_named_and_never_the_victims_own():
    def run(name):
        chosen = {"dataset": "toy_blobs", "attack": "cloudleak", "budget": 30, "threads": 1}
        options = {"cloudleak": {**QUICK, "pretrain_on": name}}
        return launch({**chosen, "benign_clients": 1, "options": options})

    public, pool = run("toy_stripes"), run("pool")

    assert public["attack"]["report"]["pretrained_images"] == 300
    assert public["run"]["marks"] == []
    assert pool["run"]["marks"] == ["pretrained_on_pool"]
    with pytest.raises(BadOption, match="victim's own"):
        run("toy_blobs")
    with pytest.raises(UnknownName, match="stripes"):
        run("stripes")


def test_an_empty_pool_is_refused_before_anything_is_asked():
    oracle = Notes(hard, 30)
    with pytest.raises(MissingData, match="'pool': it has no images"):
        extracted(oracle, view(pool=torch.zeros(0, 1, 8, 8)))

    assert not oracle.asked


def written(tmp_path, change=lambda tensors: tensors, name="weights.safetensors"):
    torch.manual_seed(9)
    source = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU(), nn.Linear(10, CLASSES))
    tensors = {name: one.clone() for name, one in source.state_dict().items()}
    save_file(change(tensors), tmp_path / name)
    return str(tmp_path / name), source


def test_a_file_of_weights_is_where_the_substitute_starts(tmp_path):
    file, source = written(tmp_path)
    model, told = started(weights=file)

    assert all(map(torch.equal, model.state_dict().values(), source.state_dict().values()))
    assert told == {"pretrained_images": 0}
    assert CloudLeak(weights=file).marks == ()


def test_a_last_layer_of_other_classes_stays_fresh(tmp_path):
    def others(tensors):
        return {**tensors, "3.weight": torch.ones(1000, 10), "3.bias": torch.ones(1000)}

    file, source = written(tmp_path, others)
    model, _ = started(weights=file)

    assert torch.equal(model[1].weight, source[1].weight)
    assert torch.equal(model[3].weight, two_layers()[3].weight)


def test_names_may_lack_what_all_of_the_substitutes_begin_with(tmp_path):
    file, source = written(tmp_path)

    def wrapped():
        outer = nn.Module()
        outer.net = two_layers()
        outer.forward = outer.net.forward
        return outer

    model, _ = started(view(new_model=wrapped), weights=file)

    assert torch.equal(model.net[1].weight, source[1].weight)


class Hostile:
    def __reduce__(self):
        return (open, (self.file, "w"))


def spoiled(kind, tmp_path):
    """Return the path of a file that is no file of weights."""
    file = tmp_path / "weights.safetensors"
    if kind == "missing":
        return str(file)
    if kind == "folder":
        return str(tmp_path)
    if kind == "pickle":
        payload = Hostile()
        payload.file = str(tmp_path / "executed")
        file.write_bytes(pickle.dumps(payload))
    if kind == "torch-pickle":
        payload = Hostile()
        payload.file = str(tmp_path / "executed")
        torch.save({"1.weight": payload}, file)
    if kind == "text":
        file.write_text("weights")
    if kind == "empty":
        file.touch()
    if kind == "cut":
        path, _ = written(tmp_path)
        file.write_bytes(file.read_bytes()[:-9])
        return path
    if kind == "network":
        written(tmp_path, lambda tensors: {"body.weight": tensors["1.weight"]})
    if kind == "shape":
        written(tmp_path, lambda tensors: {**tensors, "1.weight": torch.ones(10, 63)})
    if kind == "nan":
        written(tmp_path, lambda tensors: {**tensors, "1.bias": torch.full((10,), torch.nan)})
    return str(file)


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "folder", "pickle", "torch-pickle", "text"),
        *("empty", "cut", "network", "shape", "nan"),
    ],
)
def test_a_file_that_holds_no_such_weights_is_refused_unopened_and_unpaid(kind, tmp_path):
    oracle, file = Notes(hard, 30), spoiled(kind, tmp_path)
    with pytest.raises(BadOption, match=r"were refused|is no file"):
        extracted(oracle, weights=file)

    assert not oracle.asked
    assert not (tmp_path / "executed").exists(), "no code of the file is executed"


# --- frozen layers


def convolutional():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.Flatten(),
        nn.Linear(108, 6),
        nn.ReLU(),
        nn.Linear(6, CLASSES),
    )


@pytest.mark.parametrize(
    ("what", "kept"), [("nothing", ()), ("convolutions", "01"), ("body", "013")]
)
def test_frozen_layers_keep_weights_and_statistics(what, kept):
    model = convolutional()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    images, targets = torch.rand(30, 1, 8, 8), torch.arange(30) % CLASSES

    with frozen(model, what) as objective:
        fit(model, images, targets, Recipe(epochs=2), objective=objective)

    changed = {name[0] for name, one in model.state_dict().items() if not one.equal(before[name])}
    assert changed == set("0135") - set(kept)
    assert all(weight.requires_grad for weight in model.parameters()), "as before"


def test_a_network_without_a_last_layer_cannot_be_frozen():
    with pytest.raises(RingfenceError, match="no last layer"), frozen(nn.Flatten(), "body"):
        pass


def test_what_is_frozen_stays_as_pre_trained():
    run = view(new_model=convolutional, pool_labels=torch.arange(96) % 5)
    start, _ = started(run)
    _, substitute = extracted(Notes(hard, 40), run, freeze="body")

    same = [n for n, one in substitute.state_dict().items() if one.equal(start.state_dict()[n])]
    assert set("".join(name[0] for name in same)) == set("013")


@pytest.mark.parametrize("restart", [True, False])
def test_restarting_forgets_what_the_rounds_have_learnt(restart, monkeypatch):
    run, begun = view(pool_labels=torch.arange(96) % 5), []
    start, _ = started(run)

    def spy(model, *arguments, **options):
        begun.append(model[1].weight.clone())
        return fit(model, *arguments, **options)

    monkeypatch.setattr(attack_module, "fit", spy)
    extracted(Notes(hard, 40), run, restart=restart)

    assert len(begun) == 3, "on the seeds, between two rounds, at the end"
    assert torch.equal(begun[-1], start[1].weight) == restart
    assert not torch.equal(begun[1], start[1].weight)


# --- contract and options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "lbfgs", "normalise": False, "margin": "alpha", "eps": 0.1},
        {"guides": "pool", "choose": "margin", "rounded": True, "restart": True},
        {"pretrain_on": "nothing", "freeze": "body", "optimizer": "adam", "lr": 0.001},
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_attacks(options):
    check_attack(CloudLeak(**{**QUICK, **options}))


def test_a_linear_substitute_is_attacked_with_too():
    attack, substitute = extracted(Notes(hard, 20), view(new_model=tiny_model))

    assert attack.report()["transfer_set"] == 20
    assert substitute(torch.zeros(1, 1, 8, 8)).shape == (1, CLASSES)


def test_the_default_recipe_is_the_public_re_implementations_for_20_epochs():
    assert CloudLeak().recipe == Recipe(
        epochs=20, batch_size=64, optimizer="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4
    )


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("epochs", 0, BadOption),
        ("steps", 0, BadOption),
        ("rounds", 0, BadOption),
        ("surplus", 0.5, BadOption),
        ("eps", 0.0, BadOption),
        ("eps", 1.5, BadOption),
        ("mu", -1.0, BadOption),
        ("weights", "", BadOption),
        ("momentum", 1.0, BadOption),
        ("solver", "newton", UnknownName),
        ("freeze", "head", UnknownName),
        ("choose", "entropy", UnknownName),
        ("guides", "test", UnknownName),
    ],
)
def test_an_option_without_meaning_is_refused(option, value, error):
    with pytest.raises(error, match=option):
        plugins.build("attacks", "cloudleak", {option: value})


@define(eq=False)
class Noise:
    """Asks about noise instead, from the same start and with the same training."""

    plugin: CloudLeak

    @hookimpl
    def make_attack(self, run):
        leak = self.plugin.make_attack(run)
        return Sender(run, leak)


@define(eq=False)
class Sender:
    run: object
    leak: object

    def extract(self, oracle):
        model, _ = self.leak.start.model(self.run)
        transfer = TransferSet(oracle, 256, True)
        random = self.run.generator("noise")
        transfer.ask(torch.rand(oracle.remaining, *self.run.image_shape, generator=random))
        images, answers = transfer.pairs(argmax=False)
        return fit(model, images, answers, self.leak.recipe, generator=random)


@pytest.mark.slow
def test_it_steals_digits_better_than_noise_does_and_more_with_more_queries(victims):
    """The claims of the paper, on digits."""
    common = {"dataset": "digits", "threads": 1, "cache": victims, "benign_clients": 0}
    start = {"pretrain_epochs": 3}  # to be quick
    common |= {"attack": "cloudleak", "options": {"training": TRAINING, "cloudleak": start}}

    def stolen(plugin=None, **given):
        run, selected = prepare(Choice(**options.check("run", Choice, {**common, **given})))
        if plugin:
            selected = {"cloudleak": plugin}
        return run_experiment(run, selected)["substitute"]["accuracy"]

    hard, soft = (stolen(budget=1500, labels=labels) for labels in ("hard", "soft"))
    few, many = (stolen(budget=budget, labels="hard") for budget in (150, 2000))
    noise = stolen(Noise(CloudLeak(**start)), budget=2000, labels="hard")

    assert min(hard, soft) > 0.7
    assert many > noise + 0.2
    assert many > few + 0.02

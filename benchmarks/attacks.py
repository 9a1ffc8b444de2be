"""How fast the attacks do their own work, against what that work must cost.

One function per measure, named in ``MEASURES``; each compares two ways by turns in one process.
Example::

    python benchmarks/attacks.py --device cpu --threads 1 --clock cpu --out attacks.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from attrs import evolve, frozen

from ringfence import plugins
from ringfence.adversarial import fgsm_random_targets
from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.recipe import Recipe
from ringfence.service import Service
from ringfence.session import Session
from ringfence.testing import tiny_experiment
from ringfence.training import fit
from ringfence_cloudleak.featurefool import Objective, Pairs, margins
from ringfence_cloudleak.pairing import pairs
from ringfence_cloudleak.solvers import gradient, lbfgs

#: On a CPU shared with others, the processor's own seconds say more; on one thread only.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

QUERIES = 40 * 256  #: of one timed piece of adaptive KnockoffNet
FEW = 8  #: pairs that L-BFGS-B solves in one piece

Work = Callable[[], object]


@frozen
class Settings:
    """Where and how often to measure."""

    device: str
    clock: str
    repetitions: int


def by_turns(works: Mapping[str, Work], items: int, settings: Settings) -> dict[str, Any]:
    """Return items a second of each work, and the ratio of the first to the second by turn."""
    speeds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(settings.repetitions + 1):
        for name in list(works)[:: 1 if turn % 2 else -1]:
            speeds[name].append(items / seconds(works[name], settings))
    speeds = {name: values[1:] for name, values in speeds.items()}  # the first turn warms up
    first, second = speeds.values()
    ratios = [ours / theirs for ours, theirs in zip(first, second, strict=True)]
    return {name: summary(values) for name, values in (speeds | {"ratio": ratios}).items()}


def seconds(work: Work, settings: Settings) -> float:
    """Return how long ``work`` takes."""
    wait(settings)
    start = CLOCKS[settings.clock]()
    work()
    wait(settings)
    return CLOCKS[settings.clock]() - start


def wait(settings: Settings) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(settings.device).type == "cuda":
        torch.cuda.synchronize()


def summary(values: list[float]) -> dict[str, Any]:
    """Return the spread of ``values``."""
    return {"median": median(values), "min": min(values), "max": max(values), "all": values}


def crafting(settings: Settings) -> list[dict[str, Any]]:
    """JBDA-TR's images a second, and those of the forward and backward passes it needs."""
    sizes = {"cpu": (1024, 16), "cuda": (16384, 4096)}[torch.device(settings.device).type]
    cases = (("lenet5", (1, 28, 28), sizes[0]), ("resnet18", (3, 32, 32), sizes[1]))
    return [_crafting(name, shape, size, settings) for name, shape, size in cases]


def _crafting(name: str, shape: tuple[int, ...], size: int, settings: Settings) -> dict[str, Any]:
    attack = plugins.build("attacks", "jbdatr")
    model = plugins.build("models", name).make(10, shape).to(settings.device).eval()
    model = model.to(memory_format=torch.channels_last)  # as training leaves it
    images = torch.rand(size, *shape, device=settings.device)
    labels = torch.randint(10, (size,), device=settings.device)
    generator = torch.Generator(settings.device).manual_seed(0)

    def craft() -> None:
        for part in images.split(attack.query_batch):
            fgsm_random_targets(
                model, part, 0.25, step=0.058, steps=attack.steps, generator=generator
            )

    def passes() -> None:
        parts = zip(images.split(attack.query_batch), labels.split(attack.query_batch), strict=True)
        for part, own in parts:
            for _ in range(attack.steps):
                x = part.detach().requires_grad_()
                torch.autograd.grad(F.cross_entropy(model(x), own, reduction="sum"), x)

    found = by_turns({"crafted": craft, "passes": passes}, size, settings)
    return {"case": f"{name}, {attack.steps} steps", "unit": "images/s", **found}


def asking(settings: Settings) -> list[dict[str, Any]]:
    """Adaptive KnockoffNet's queries a second, and those of the passes that they need.

    A query is chosen, answered by an undefended victim, judged, and learnt alongside. Clusters
    are found beforehand.
    """
    new = partial(plugins.build("models", "lenet5").make, 10, (1, 28, 28))
    pool = torch.randint(256, (QUERIES, 1, 28, 28), dtype=torch.uint8, device=settings.device)
    run = evolve(
        tiny_experiment(device=settings.device).for_attack("knockoffnet"),
        pool=pool,
        image_shape=(1, 28, 28),
        num_classes=10,
        new_model=lambda: new().to(settings.device),
    )
    attack = plugins.build("attacks", "knockoffnet", {"strategy": "adaptive"})
    strategy = attack.make_attack(run).strategy(QUERIES)
    victim, online = (run.new_model().to(memory_format=torch.channels_last) for _ in range(2))
    oracle = Session(Service(victim.eval()), ("me",), 10, (1, 28, 28), QUERIES * 1000)

    def ask() -> None:
        for _ in range(QUERIES // attack.query_batch):
            rows = strategy.choose(attack.query_batch)
            strategy.learn(rows, oracle.query(as_float(pool[rows])))

    def passes() -> None:
        for images in pool.split(attack.query_batch):
            answers = logits(victim, images).softmax(-1)
            logits(online.eval(), images)
            fit(online, images, answers, evolve(attack.recipe, epochs=1, schedule="constant"))

    found = by_turns({"asked": ask, "passes": passes}, QUERIES, settings)
    return [{"case": "lenet5, adaptive", "unit": "queries/s", **found}]


def featurefool(settings: Settings) -> list[dict[str, Any]]:
    """CloudLeak's pairs a second, all at once and by SciPy's L-BFGS-B, one by one.

    Both minimise one objective on one substitute, fitted to digits, with as many iterations; the
    case says how low they get on the pairs of the slow one.
    """
    objective, known = _featurefool(settings.device)
    few, steps = known.rows(slice(FEW)), plugins.build("attacks", "cloudleak").steps
    works = {
        "batched": lambda: gradient(objective, known, steps),
        "lbfgs": lambda: lbfgs(objective, few, steps),
    }
    sizes = {"batched": len(known), "lbfgs": FEW}
    speeds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(settings.repetitions + 1):
        for name, work in works.items():
            speeds[name].append(sizes[name] / seconds(work, settings))
    speeds = {name: values[1:] for name, values in speeds.items()}  # the first turn warms up
    ratios = [ours / theirs for ours, theirs in zip(*speeds.values(), strict=True)]
    with torch.no_grad():
        low = [objective.loss(solve(objective, few, steps), few) for solve in (gradient, lbfgs)]
        low = [values.mean().item() for values in (objective.loss(few.sources, few), *low)]
    told = "lenet5, mean loss {:.3f}: batched {:.4f}, lbfgs {:.4f}".format(*low)
    found = {name: summary(values) for name, values in (speeds | {"ratio": ratios}).items()}
    return [{"case": told, "unit": "pairs/s", **found}]


def _featurefool(device: str) -> tuple[Objective, Pairs]:
    """Return FeatureFool's objective with default options, and a batch of pairs."""
    attack = plugins.build("attacks", "cloudleak")
    digits = plugins.build("datasets", "digits").load(None, True).train
    images, labels = digits.images[:400].to(device), digits.labels[:400].to(device)
    model = plugins.build("models", "lenet5").make(10, (1, 28, 28)).to(device)
    model = fit(model, images, labels, Recipe(epochs=20, batch_size=64))
    objective = Objective(model, attack.mu, attack.eps, attack.normalise)
    generator = torch.Generator(device).manual_seed(0)
    source, guide = pairs(labels[:, None] != labels, attack.craft_batch, generator).unbind(1)
    found = objective.bank(images)
    limits = margins(found, labels, attack.alpha)[labels[guide]]
    return objective, Pairs(as_float(images[source]), found[source], found[guide], limits)


#: name: what measures it, and returns one entry per case
MEASURES: dict[str, Callable[[Settings], list[dict[str, Any]]]] = {
    "jbdatr": crafting,
    "knockoffnet": asking,
    "cloudleak": featurefool,
}


def line(measure: str, found: Mapping[str, Any]) -> str:
    """Return one case as a line to read."""
    works = [name for name in found if name not in ("case", "unit", "ratio")]
    speeds = ", ".join(f"{name} {found[name]['median']:,.0f} {found['unit']}" for name in works)
    ratio = found["ratio"]
    spread = f"{ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})"
    return f"{measure}: {found['case']}: {speeds}, ratio {spread}"


def machine(device: str) -> dict[str, Any]:
    """Return what the figures depend on."""
    cuda = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("ringfence", "torch", "torchvision")}
        | {"python": platform.python_version()},
    }


def main() -> None:
    """Print one line per case, and write everything measured to ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    settings = Settings(options.device, options.clock, options.repetitions)
    result = machine(options.device) | {
        "clock": options.clock,
        "repetitions": options.repetitions,
        "measures": {},
    }
    for name, measure in MEASURES.items():
        if options.only in (None, name):
            torch.manual_seed(0)
            result["measures"][name] = measure(settings)
            print(*(line(name, found) for found in result["measures"][name]), sep="\n", flush=True)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

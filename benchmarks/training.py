"""How fast ``ringfence.training.fit`` is against a loop written by hand.

Both train copies of the same model on the same tensors with the same batches, optimizer and
schedule, without augmentation, by turns in one process. Example::

    python benchmarks/training.py --device cpu --threads 1 --clock cpu --out training.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from attrs import evolve, frozen
from torch import Tensor, nn

from ringfence import plugins
from ringfence.recipe import Recipe
from ringfence.training import fit

#: On a CPU shared with others, the processor's own seconds say more; on one thread only.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Loop = Callable[[nn.Module, Tensor, Tensor, Recipe], object]


@frozen
class Case:
    """One model with the images, batch and number of steps that are timed."""

    model: str
    shape: tuple[int, ...]
    batch_size: int
    steps: dict[str, int]  #: by device


CASES = (
    Case("lenet5", (1, 28, 28), 256, {"cpu": 20, "cuda": 2000}),
    Case("resnet18", (3, 32, 32), 128, {"cpu": 2, "cuda": 200}),
)


def bare(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """Train by hand: what ``fit`` does for this recipe, and not a line more."""
    cuda = images.is_cuda
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.optimizer == "adam":
        optimizer: Any = torch.optim.Adam(model.parameters(), lr=recipe.lr, fused=True)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), recipe.lr, recipe.momentum, 0, recipe.weight_decay, fused=True
        )
    steps = recipe.epochs * (len(images) // recipe.batch_size)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(images), device=images.device).split(recipe.batch_size):
            batch = images[rows].float().div_(255)
            if cuda:
                with torch.autocast("cuda", torch.bfloat16):
                    loss = F.cross_entropy(model(batch), labels[rows])
            else:
                loss = F.cross_entropy(model(batch), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()


def by_fit(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """Train with the loop of the core."""
    fit(model, images, labels, recipe)


def seconds(clock: str, loop: Loop, model: nn.Module, *data: Any) -> float:
    """Return how long ``loop`` takes on a copy of ``model``."""
    model = deepcopy(model)
    _wait()
    start = CLOCKS[clock]()
    loop(model, *data)
    _wait()
    return CLOCKS[clock]() - start


def measure(case: Case, device: str, repetitions: int, clock: str) -> dict[str, Any]:
    """Return images a second of both loops, and the ratio of each repetition."""
    plugin = plugins.build("models", case.model)
    recipe = evolve(plugin.recipe, epochs=1, batch_size=case.batch_size, schedule="cosine")
    model = plugin.make(10, case.shape).to(device)
    size = case.batch_size * case.steps[torch.device(device).type]
    images = torch.randint(256, (size, *case.shape), dtype=torch.uint8, device=device)
    labels = torch.randint(10, (size,), device=device)
    speeds: dict[str, list[float]] = {"fit": [], "bare": []}
    for loops in _turns(repetitions):
        for name, loop in loops:
            speeds[name].append(size / seconds(clock, loop, model, images, labels, recipe))
    speeds = {name: values[1:] for name, values in speeds.items()}  # the first turn warms up
    ratios = [ours / theirs for ours, theirs in zip(speeds["fit"], speeds["bare"], strict=True)]
    return {"model": case.model, "batch_size": case.batch_size, "images": size} | {
        name: _summary(values) for name, values in (speeds | {"ratio": ratios}).items()
    }


def _turns(repetitions: int) -> Iterator[list[tuple[str, Loop]]]:
    """Yield both loops, one turn more than asked for, the other one first each time."""
    loops: list[tuple[str, Loop]] = [("fit", by_fit), ("bare", bare)]
    for turn in range(repetitions + 1):
        yield loops if turn % 2 else loops[::-1]


def _summary(values: list[float]) -> dict[str, Any]:
    return {"median": median(values), "min": min(values), "max": max(values), "all": values}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _machine(device: str) -> dict[str, Any]:
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
    parser.add_argument("--model", choices=[case.model for case in CASES])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    result = _machine(options.device) | {
        "clock": options.clock,
        "repetitions": options.repetitions,
        "cases": [],
    }
    for case in CASES:
        if options.model in (None, case.model):
            torch.manual_seed(0)
            found = measure(case, options.device, options.repetitions, options.clock)
            result["cases"].append(found)
            ratio = found["ratio"]
            print(
                f"{case.model:9} batch {case.batch_size}: fit {found['fit']['median']:,.0f} "
                f"images/s, bare {found['bare']['median']:,.0f}, ratio {ratio['median']:.3f} "
                f"({ratio['min']:.3f} to {ratio['max']:.3f})",
                flush=True,
            )
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How fast a query is judged, beside the forward pass of the backbone alone.

A batch of 256 images of 32x32 pixels, enlarged for the backbone. By turns in one process: the
whole verdict (scaling, features, regression, count of flags) and the bare network on images that
were enlarged before, all at once and in blocks of the same size: these stay in a CPU's caches.
``of`` is the share of the network's own rate that a verdict reaches. Example::

    python benchmarks/features.py --backbone squeezenet1_1 --size 64 --threads 1 --out features.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ringfence_boogeyman.blocks import in_blocks
from ringfence_boogeyman.embedding import CLASSES, Embedding
from ringfence_boogeyman.gate import Gate
from ringfence_boogeyman.logistic import fit
from torch import nn

from ringfence.experiment import Experiment
from ringfence.flags import FixedShare, Suspicion
from ringfence.images import adapt
from ringfence.plugins import build
from ringfence.testing import tiny_experiment
from ringfence.types import Queries

BATCH, SIDE = 256, 32
LEARNT = 64  #: images of each side: what the regression has learnt costs nothing while serving
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def gate(net: nn.Module, size: int, block: int, device: str) -> tuple[Gate, Experiment]:
    """Return a one-and-a-half classifier on ``net``, and its run; weights do not matter here."""
    embed = Embedding(net, size, block)
    sides = torch.rand(2, LEARNT, 3, SIDE, SIDE, device=device)
    found = fit(embed(sides[0]), embed(sides[1]), 2, balanced=False, seed=0)
    run = tiny_experiment(device=device)
    suspicion = Suspicion(run.for_defense("onehalf").store, FixedShare(0.5))

    def score(images: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return in_blocks(lambda part: found(embed.of_block(part)), images, block)

    return Gate(score, 0.0, suspicion, {}), run


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return images a second of both works, and their ratio by turn."""
    torch.manual_seed(0)
    model = build("models", "torchvision", {"name": args.backbone})
    net = model.make(CLASSES, (3, args.size, args.size)).to(args.device).eval()
    detector, run = gate(net, args.size, args.block, args.device)
    images = torch.rand(BATCH, 3, SIDE, SIDE, device=args.device)
    large = adapt(images, (3, args.size, args.size))
    queries = Queries(images, ("one",) * BATCH, torch.arange(BATCH, device=args.device))
    logits = torch.zeros(BATCH, 10, device=args.device)

    def verdict() -> None:
        with run.store.batch(queries.clients):
            detector.inspect(queries, logits)

    works = {
        "verdict": verdict,
        "forward": lambda: net(large),
        "forward_in_blocks": lambda: [net(part) for part in large.split(args.block)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(args.repetitions + 1):
        for name, work in works.items():
            start = CLOCKS[args.clock]()
            work()
            if args.device != "cpu":
                torch.cuda.synchronize()
            if turn:  # the first one warms up
                seconds[name].append(CLOCKS[args.clock]() - start)
    speeds = {name: BATCH / median(own) for name, own in seconds.items()}
    own = seconds.pop("verdict")
    ratios = {
        name: [alone / ours for alone, ours in zip(bare, own, strict=True)]
        for name, bare in seconds.items()
    }
    medians = {name: median(by_turn) for name, by_turn in ratios.items()}
    return {"images_per_second": speeds, "of": medians, "by_turn": ratios}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    told = {name: value for name, value in vars(args).items() if name != "out"}
    versions = {name: version(name) for name in ("ringfence", "torch", "torchvision")}
    where = {"machine": platform.machine(), "load": os.getloadavg()[0], "versions": versions}
    text = json.dumps({**told, **where, **measure(args)}, indent=1) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()

"""Ordinary clients of a run, as a program of their own: they ask a guard over HTTP."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from ringfence_serve.oracle import Http

from ringfence import options
from ringfence.benign import benign_accuracy
from ringfence.choice import Choice
from ringfence.setup import prepare


def main(url: str, keyfile: str, named: str) -> None:
    """Print the accuracy that the clients of the run ``named`` are given."""
    torch.set_num_threads(1)
    run, _ = prepare(Choice(**options.check(options.RUN, Choice, json.loads(named))))
    print(benign_accuracy(run, Http(url, Path(keyfile)).connect(lambda: None)))


if __name__ == "__main__":
    main(*sys.argv[1:])

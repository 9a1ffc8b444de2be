"""Models of others, as an owner or a judge gets them: weights in a file, or a stage of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from torch import Tensor, nn

from ringfence import artifact, plugins, weights
from ringfence.errors import BadEvidence
from ringfence.folder import RUN
from ringfence.transplant import fill, misfit

LIMIT = 4 << 30  #: bytes of a stage's file
STAGES = {"attack": "substitute", "victim": "model"}  #: stage: the role of the model it holds


@frozen
class Size:
    """What a suspect takes and answers."""

    classes: int
    shape: tuple[int, ...]  #: channels, height, width


@frozen(eq=False)
class Found:
    """Weights, and the architecture that they are known to have."""

    source: Path
    weights: Mapping[str, Tensor]
    model: str | None = None
    options: Mapping[str, Any] = field(factory=dict)


def build(found: Found, model: str, options: Mapping[str, Any], size: Size) -> nn.Module:
    """Return an instance of ``model`` with the weights, on the CPU; all of them must fit."""
    net: nn.Module = plugins.build("models", model, options).make(size.classes, size.shape)
    expected = net.state_dict()
    for name in sorted(found.weights.keys() & expected.keys()):
        if wrong := misfit(found.weights[name], expected[name]):  # fill would renew the head
            raise weights.refused(str(found.source), f"tensor {name!r} {wrong}, in {model!r}")
    fill(net, found.weights, model, str(found.source))
    return net.eval()


def find(path: Path) -> Found:
    """Return the weights in the file ``path``, or in the stage of a run that is that folder."""
    if not path.is_dir():
        return Found(path, weights.read(path))
    role = STAGES.get(path.name)
    if role is None or not (path / artifact.TREE).exists():
        raise BadEvidence(
            f"{path} holds no model. Give a file of weights, or of a run that was made with --out "
            "RUN: RUN/stages/attack is its substitute, RUN/stages/victim its victim."
        )
    value = artifact.load(path, limit=LIMIT)["value"]
    held = value["theft"]["weights"] if path.name == "attack" else value["weights"]
    return Found(path, held, *_architecture(path.parent.parent / RUN, role))


def _architecture(file: Path, role: str) -> tuple[str | None, Mapping[str, Any]]:
    """Return the model that a run selected for ``role``, with its options."""
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        return run[role], run["options"].get(run[role], {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, {}  # then --model says it

"""The meta-classifier: is the answer to one well-chosen image a disrupted one?

Image and classifier are trained together on shadow models with and without the defense. The
image follows the gradient through the undefended models only: a defense has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from operator import itemgetter
from typing import Any

import torch
import torch.nn.functional as F
from attrs import frozen
from sklearn.metrics import roc_auc_score
from torch import Generator, Tensor, nn

from ringfence.images import as_float
from ringfence.run import AttackRun
from ringfence_ddae.simulation import Guarded

HIDDEN = 20
LR = 1e-3
EPOCHS = 10


@frozen(eq=False)
class Meta:
    """A trained meta-classifier."""

    net: nn.Module  #: answers ``(N, K)`` -> score ``(N, 1)``; above 0: disrupted
    image: Tensor  #: ``(1, C, H, W)`` the image to ask

    @torch.no_grad()
    def score(self, answers: Tensor) -> Tensor:
        """Return scores ``(N,)`` of answers to the image; above 0 means disrupted."""
        scores: Tensor = self.net(answers.float())
        return scores[:, 0]

    def state(self) -> dict[str, Any]:
        """Return all of it, for a cache."""
        return {"net": self.net.state_dict(), "image": self.image}


def blank(num_classes: int) -> nn.Module:
    """Return a fresh classifier of answers."""
    return nn.Sequential(nn.Linear(num_classes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def restored(state: dict[str, Any], num_classes: int) -> Meta:
    """Return the meta-classifier of a :meth:`Meta.state`."""
    net = blank(num_classes).to(state["image"].device)
    net.load_state_dict(state["net"])
    return Meta(net.eval(), state["image"])


def train(
    run: AttackRun,
    learn: Sequence[Guarded],
    validate: Sequence[Guarded],
    repeats: int,
    steps: int,
) -> Meta:
    """Return the best of all epochs by AUC on ``validate``; by loss where that is equal.

    ``steps`` are the fewest of one repeat: with few models, each is seen more often an epoch.
    """
    tried = (
        (_rank(meta, validate), deepcopy(meta.state()))
        for repeat in range(repeats)
        for meta in _epochs(run, learn, steps, run.generator(f"meta/{repeat}"))
    )
    _, best = max(tried, key=itemgetter(0))
    return restored(best, run.num_classes)


def auc(meta: Meta, guarded: Sequence[Guarded]) -> float:
    """Return the AUC of telling guarded from unguarded models, all of which are asked once."""
    scores = torch.cat(_scores(meta, guarded)).cpu()
    labels = torch.arange(2).repeat_interleave(len(guarded))
    return float(roc_auc_score(labels, scores))


def _rank(meta: Meta, guarded: Sequence[Guarded]) -> tuple[float, float]:
    clean, sent = _scores(meta, guarded)
    labels = torch.arange(2).repeat_interleave(len(guarded))
    scores = torch.cat([clean, sent])
    loss = F.binary_cross_entropy_with_logits(scores, labels.to(scores))
    return float(roc_auc_score(labels, scores.cpu())), -loss.item()


def _scores(meta: Meta, guarded: Sequence[Guarded]) -> tuple[Tensor, Tensor]:
    """Return scores of undefended and of defended answers, ``(G,)`` each."""
    clean = torch.cat([one.format(one.clean(meta.image)) for one in guarded])
    sent = torch.cat([one.sent(meta.image) for one in guarded])
    return meta.score(clean), meta.score(sent)


def _epochs(
    run: AttackRun, guarded: Sequence[Guarded], steps: int, random: Generator
) -> Iterator[Meta]:
    """Yield classifier and image after each epoch, of one model a step."""
    image = _noise(run, random).requires_grad_()
    net = blank(run.num_classes).to(run.device)
    optimizer = torch.optim.Adam([image, *net.parameters()], lr=LR, fused=True)
    rounds = -(-steps // (EPOCHS * len(guarded)))
    for _ in range(EPOCHS):
        orders = [
            torch.randperm(len(guarded), generator=random, device=random.device)
            for _ in range(rounds)
        ]
        for number in torch.cat(orders).tolist():
            loss = _loss(net, image, guarded[number])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                image.clamp_(0, 1)  # an oracle takes nothing else
        yield Meta(net, image.detach())


def _loss(net: nn.Module, image: Tensor, guarded: Guarded) -> Tensor:
    clean = guarded.format(guarded.clean(image))
    scores = net(torch.cat([clean, guarded.sent(image.detach())]).float())
    return F.binary_cross_entropy_with_logits(scores[:, 0], scores.new_tensor([0.0, 1.0]))


def _noise(run: AttackRun, random: Generator) -> Tensor:
    """Return an image of noise with the mean and the deviation of the attacker's images."""
    known = as_float(run.seeds if len(run.seeds) else run.pool)
    noise = torch.randn((1, *run.image_shape), generator=random, device=random.device)
    return (noise * known.std() + known.mean()).clamp(0, 1)

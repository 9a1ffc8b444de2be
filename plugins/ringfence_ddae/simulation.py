"""The rehearsal: what the expected defense makes of the answers of models one knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import evolve, frozen
from torch import Generator, Tensor, nn

from ringfence.answers import Format, refused
from ringfence.images import as_float
from ringfence.inference import logits
from ringfence.run import AttackRun
from ringfence.service import Service
from ringfence_ddae.expected import Expected
from ringfence_ddae.shadows import Shadow

CLIENT = "rehearsal"
SAME = 1e-6  #: L1 distance up to which an answer counts as undisturbed
FEW = 50  #: changed, or unchanged, answers that are too few to be given half the weight


@frozen(eq=False)
class Guarded:
    """A shadow model, and the same model behind the expected defense."""

    shadow: Shadow
    service: Service
    format: Format

    def clean(self, images: Tensor) -> Tensor:
        """Return undefended probabilities ``(N, K)``, float64; gradients flow."""
        probs: Tensor = self.shadow.model(images).double().softmax(-1)
        return probs

    def sent(self, images: Tensor) -> Tensor:
        """Return the answers ``(N, K)`` that a client of the guarded model gets, float64."""
        return self.format(self.service.answer(images, [CLIENT] * len(images)))


@frozen(eq=False)
class Pairs:
    """Answers of guarded shadow models, and what they would have been."""

    sent: Tensor  #: ``(N, K)``
    honest: Tensor  #: ``(N, K)``, in the same format
    probs: Tensor  #: ``(N, K)`` undefended probabilities
    own: Tensor | None  #: ``(N, K)`` the attacker's own posterior for the same images, if it counts

    def rows(self, index: Tensor) -> Pairs:
        """Return a copy of the rows in ``index``."""
        own = None if self.own is None else self.own[index]
        return Pairs(self.sent[index], self.honest[index], self.probs[index], own)


def guard(
    run: AttackRun, shadow: Shadow, number: int, defense: Expected, format: Format, warmup: int
) -> Guarded:
    """Put ``shadow`` behind ``defense``, and let the client ask ``warmup`` images of the pool.

    A defense that acts on suspicion then treats the client as it will treat the attacker. Each
    shadow model's defense has a secret of its own, as the victim's has.
    """
    own = evolve(run, streams=run.streams.scope(f"shadow/{number}"))
    service = own.rehearse_defense(defense.name, shadow.model, shadow.data, defense.options)
    random = own.generator("warmup")
    order = torch.randperm(len(run.pool), generator=random, device=random.device)
    if len(images := run.pool[order[:warmup]]):
        service.answer(as_float(images), [CLIENT] * len(images))
    return Guarded(shadow, service, format)


def posterior(models: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Return the mean probabilities ``(N, K)`` of ``models``, at least one, float64."""
    probs = [logits(model, images).double().softmax(-1) for model in models]
    return torch.stack(probs).mean(0)


def collect(
    run: AttackRun,
    guarded: Sequence[Guarded],
    own: Sequence[nn.Module],
    count: int,
    random: Generator,
) -> Pairs:
    """Return pairs from all of ``guarded``, about ``count``, half of pool and half of shadow data.

    There are fewer where the data are few: no client asks an image twice.
    """
    each = max(2, count // len(guarded))
    parts = [_collect(run, one, own, each, random) for one in guarded]
    return Pairs(
        torch.cat([part.sent for part in parts]),
        torch.cat([part.honest for part in parts]),
        torch.cat([part.probs for part in parts]),
        torch.cat([part.own for part in parts if part.own is not None]) if own else None,
    )


def _collect(
    run: AttackRun, guarded: Guarded, own: Sequence[nn.Module], count: int, random: Generator
) -> Pairs:
    learnt = _some(as_float(guarded.shadow.data.images), count // 2, random)
    asked = torch.cat([learnt, _some(as_float(run.pool), count - len(learnt), random)])
    images = _some(asked, len(asked), random)  # both kinds in turn, as in a mixed stream
    probs = logits(guarded.shadow.model, images).double().softmax(-1)
    beside = posterior(own, images) if own else None
    pairs = Pairs(guarded.sent(images), guarded.format(probs), probs, beside)
    return pairs.rows(~refused(pairs.sent))


def balanced(pairs: Pairs, random: Generator) -> Pairs:
    """Return as many pairs, half of them changed, unless one kind is too rare to be learnt."""
    changed = (pairs.sent - pairs.honest).abs().sum(-1) > SAME
    kinds = [changed.nonzero().flatten(), (~changed).nonzero().flatten()]
    if min(map(len, kinds)) < FEW:
        return pairs
    half = len(changed) // 2
    return pairs.rows(torch.cat([_drawn(kind, half, random) for kind in kinds]))


def _drawn(rows: Tensor, count: int, random: Generator) -> Tensor:
    """Return ``count`` of ``rows``: each once before any twice, so that the rarer kind repeats."""
    turns = -(-count // len(rows))
    orders = [
        torch.randperm(len(rows), generator=random, device=random.device) for _ in range(turns)
    ]
    return rows[torch.cat(orders)[:count]]


def _some(images: Tensor, count: int, random: Generator) -> Tensor:
    order = torch.randperm(len(images), generator=random, device=random.device)
    return images[order[:count]]

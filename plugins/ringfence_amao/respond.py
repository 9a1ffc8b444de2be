"""Respond: one flipped answer per group of a suspected client, and the same to look-alikes.

AMAO, section 4.4. Clients that no detector suspects get the victim's own answers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from attrs import define
from torch import Tensor

from ringfence.answers import refused
from ringfence.run import DefenseRun
from ringfence.suspicion import suspected
from ringfence.types import Queries, Verdict
from ringfence_amao import flips
from ringfence_amao.decisions import Asked, Decisions, Served
from ringfence_amao.policy import Policy


@define(eq=False)
class Replies:
    """The responder at work."""

    run: DefenseRun
    policy: Policy
    driven_by: Collection[str]
    always: bool = False  #: every client is treated as suspected

    def respond(self, queries: Queries, probs: Tensor, verdicts: Sequence[Verdict]) -> Tensor:
        """Return soft labels ``(N, K)``; rows of clients that are not suspected are untouched."""
        guilty = self._guilty(queries, verdicts)
        if not guilty.any():  # most of the time; the rest is for the others
            return probs
        rows = (guilty & ~refused(probs)).nonzero().flatten()  # nothing to flip, or to keep
        if not len(rows):
            return probs
        asked = Asked.of(queries, rows, probs, self.policy)
        scopes = self._scopes(asked).items()
        decided = [Decisions.of(self.run, self.policy, asked, *scope) for scope in scopes]
        answers = probs.clone()
        if flipped := sorted(place for one in decided for place in one.flipped):
            answers[rows[flipped]] = said = self._flipped(asked, flipped)
            for one in decided:
                one.write(dict(zip(flipped, said, strict=True)))
        for one in decided:
            if one.replayed:
                answers[rows[list(one.replayed)]] = one.recorded().to(answers.device)
        replayed = sorted(place for one in decided for place in one.replayed)
        self.run.store.mark(queries, rows[flipped], "flipped")
        self.run.store.mark(queries, rows[replayed], "replayed")
        return answers

    def report(self) -> Mapping[str, float]:
        """Say how often answers to suspected clients were flipped and replayed."""
        served = self.run.store.states(Served).values()
        total = sum(one.queries for one in served)
        counts = {
            "flipped": sum(one.flipped for one in served),
            "replayed": sum(one.replayed for one in served),
        }
        rates = {f"{name}_rate": n / total if total else 0.0 for name, n in counts.items()}
        return {"suspected_queries": total, **counts, **rates}

    def _guilty(self, queries: Queries, verdicts: Sequence[Verdict]) -> Tensor:
        if self.always:
            return torch.ones(len(queries.clients), dtype=torch.bool, device=queries.images.device)
        known = {verdict.detector for verdict in verdicts}
        own = {self.run.store.plugin} & known  # none where this plugin's detector was left out
        return suspected(queries, verdicts, self.driven_by or own)

    def _scopes(self, asked: Asked) -> dict[str, list[int]]:
        """Return the places among those asked of the owner of each record, in the order sent."""
        if self.policy.everybody:
            return {"": list(range(len(asked.clients)))}
        found: dict[str, list[int]] = {}
        for place, client in enumerate(asked.clients):
            found.setdefault(client, []).append(place)
        return found

    def _flipped(self, asked: Asked, places: list[int]) -> Tensor:
        """Return what is said instead ``(n, K)``."""
        probs = asked.probs[places]
        if self.policy.label == "least":
            return flips.exchanged(probs, flips.least(probs))
        clients = [asked.clients[place] for place in places]
        numbers = asked.first[places].tolist()
        return flips.exchanged(probs, flips.other(probs, self.run.secret, clients, numbers))

"""How much each client may ever ask: who has asked that much is refused."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ringfence.service import Service
from ringfence_serve.accounts import Accounts
from ringfence_serve.asks import Ask, Refusal, Reply


@frozen(eq=False)
class Quotas:
    """The limits of clients, and what the service has counted of them."""

    service: Service
    accounts: Accounts
    general: int | None  #: of clients without one of their own

    def refuse(self, asks: Sequence[Ask], replies: dict[int, Reply]) -> None:
        """Refuse those whose clients have asked as much as they may, but who has a reply."""
        quotas = {ask.client: self._of(ask.client) for ask in asks}
        limits = {client: quota for client, quota in quotas.items() if quota is not None}
        sent = {client: one.count for client, one in self.service.sent(limits).items()}
        for place, ask in enumerate(asks):
            if ask.client not in limits or place in replies:
                continue
            if sent[ask.client] + ask.size > limits[ask.client]:
                left = max(0, limits[ask.client] - sent[ask.client])
                told = f"{left} of {limits[ask.client]} queries are left"
                message = f"{told}, and {ask.size} were asked."
                replies[place] = Refusal(403, "quota_used", message)
            else:
                sent[ask.client] += ask.size

    def _of(self, client: str) -> int | None:
        own = self.accounts.named(client).quota
        return own if own is not None else self.general

"""How fast one client may ask: a bucket of tokens, filled at its rate.

How much it may ask at all is its quota, which the store counts. The clock is monotonic: setting
the machine's clock changes nothing.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from attrs import define, field

KNOWN = 100_000  #: buckets that are kept; a client that was away for longer has a full one
SECONDS = 10.0  #: of its rate that a client may ask at once
AUTO_SHARE = 10  #: an automatic quota is this part of the queries with which the model was stolen
AUTO_SECONDS = 24 * 3600  #: at an automatic rate a thief needs so long for what it needed


@define(eq=False)
class Rates:
    """The buckets of all clients."""

    rate: float | None = None  #: queries a second of clients without a rate of their own
    _buckets: OrderedDict[str, tuple[float, float]] = field(factory=OrderedDict, init=False)

    def wait(self, client: str, queries: int, own: float | None = None) -> float:
        """Return 0 and take the tokens for ``queries``, or the seconds until they are there."""
        rate = own if own is not None else self.rate
        if rate is None:
            return 0.0
        now = time.monotonic()
        size = max(1.0, rate * SECONDS)
        level, then = self._buckets.get(client, (size, now))
        level = min(size, level + (now - then) * rate)
        missing = min(queries, size) - level  # a larger request empties the bucket
        if missing > 0:
            return missing / rate
        self._buckets[client] = (level - queries, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > KNOWN:
            self._buckets.popitem(last=False)
        return 0.0


def automatic_quota(cost: int | None) -> int | None:
    """Return a tenth of what a thief needed; nothing where that is unknown."""
    return None if cost is None else max(1, cost // AUTO_SHARE)


def automatic_rate(cost: int | None) -> float | None:
    """Return a rate at which a thief needs a day: who sees an alarm can do something about it."""
    return None if cost is None else cost / AUTO_SECONDS

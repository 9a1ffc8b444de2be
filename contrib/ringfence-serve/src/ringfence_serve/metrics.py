"""What Prometheus reads. No client is named: there may be very many."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """The figures of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        told: dict[str, Any] = {"registry": self.registry, "namespace": "ringfence"}
        self.requests = Counter("requests", "Requests by status", ["status"], **told)
        self.queries = Counter("queries", "Images that were answered", **told)
        self.changed = Counter("changed", "Answers that defenses changed, or would have", **told)
        self.alarms = Counter("alarms", "Clients that a detector came to suspect", **told)
        self.waiting = Gauge("waiting", "Images in the queue", **told)
        self.batch = Histogram("batch_images", "Images of a batch", buckets=SIZES, **told)
        self.seconds = Histogram("seconds", "From request to reply", buckets=SECONDS, **told)
        self._by_status: dict[int, Counter] = {}

    def answered(self, status: int, seconds: float) -> None:
        """Count a request that took so long."""
        self.seconds.observe(seconds)
        if status not in self._by_status:  # to look a label up takes longer than to count
            self._by_status[status] = self.requests.labels(str(status))
        self._by_status[status].inc()

    def counted(self, queries: int, changed: int, alarms: int) -> None:
        """Count one batch."""
        self.queries.inc(queries)
        if changed:
            self.changed.inc(changed)
        if alarms:
            self.alarms.inc(alarms)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)

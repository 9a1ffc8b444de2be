"""Metrics and executors, each with one fault."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from attrs import define, field

from ringfence.errors import BadOption
from ringfence.jobs import Ended
from ringfence.testing import check_executor, check_metric


def metric(done):
    """Keep every promise: the share of queries that were the attacker's."""
    total = len(done.record.clients)
    return {"share": int(done.attacker.sum()) / total if total else None}


def dividing(done):
    return {"share": int(done.attacker.sum()) / len(done.record.clients)}


def tensors(done):
    return {"queries": done.attacker.sum()}


def meddling(done):
    done.record.clients.append("ghost")
    return metric(done)


def bootstrapped(done):
    return {"share": random.random()}


@define(eq=False)
class Executor:
    """Keeps every promise: it does each job at once; a run is a file with nothing in it."""

    waiting: list = field(factory=list, init=False)

    def submit(self, job):
        if job.resources.gpus > 8 or job.resources.memory > 64:
            raise BadOption("There are 8 GPUs and 64 GiB.")
        self.waiting.append(self.done(job))

    def done(self, job):
        if job.named["dataset"] == "nosuch":
            return Ended(job.id, "failed", "No data set is named 'nosuch'.")
        job.out.mkdir()
        (job.out / "result.json").write_text("{}")
        return Ended(job.id, "finished")

    def poll(self, seconds):
        ended, self.waiting = self.waiting, []
        return ended

    def cancel(self, id):
        self.waiting = [one for one in self.waiting if one.id != id]

    def close(self):
        self.waiting = []


class Deaf(Executor):
    def cancel(self, id):
        pass


class Lingering(Executor):
    def close(self):
        pass


class Repeating(Executor):
    def poll(self, seconds):
        return [*self.waiting, *super().poll(seconds)]


class Optimistic(Executor):
    def done(self, job):
        return Ended(job.id, "finished") if "bad" in job.id else super().done(job)


class Impatient(Executor):
    def poll(self, seconds):
        return super().poll(seconds) or [Ended("nobody", "lost")]


class Hoarding(Executor):
    def submit(self, job):
        self.waiting.append(self.done(job))


def _checked(executor):
    with tempfile.TemporaryDirectory() as folder:
        check_executor(executor, Path(folder), patience=0.2)


GOOD = [lambda: check_metric(metric), lambda: _checked(Executor())]
BROKEN = {
    "metric-nothing": lambda: check_metric(dividing),
    "metric-plain": lambda: check_metric(tensors),
    "metric-pure": lambda: check_metric(meddling),
    "metric-random": lambda: check_metric(bootstrapped),
    "executor-cancel": lambda: _checked(Deaf()),
    "executor-close": lambda: _checked(Lingering()),
    "executor-ends": lambda: _checked(Repeating()),
    "executor-failure": lambda: _checked(Optimistic()),
    "executor-patience": lambda: _checked(Impatient()),
    "executor-refusal": lambda: _checked(Hoarding()),
}

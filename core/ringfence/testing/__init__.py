"""Contracts that plugin authors can run against their own plugins.

Use ``check_detector(MyDetector())`` and so on in a test, or the plugin of pytest in
:mod:`ringfence.testing.pytest` for all that a distribution brings. Each check plays the part of
the core on a tiny run, and fails by :class:`BrokenPromise`, which says which promise was broken
and where ``docs/contracts.md`` explains it.
"""

from ringfence.testing.attacks import check_attack
from ringfence.testing.datasets import check_dataset
from ringfence.testing.detectors import check_detector
from ringfence.testing.executors import check_executor
from ringfence.testing.installed import CHECKS, NAMED, Contract, contracts
from ringfence.testing.metrics import check_metric
from ringfence.testing.models import check_model
from ringfence.testing.promises import PROMISES, BrokenPromise
from ringfence.testing.recoveries import check_recovery
from ringfence.testing.responders import check_responder
from ringfence.testing.stores import check_store
from ringfence.testing.tiny import tiny_experiment, tiny_model
from ringfence.testing.trainers import check_trainer
from ringfence.testing.verifiers import check_verifier

__all__ = [
    "CHECKS",
    "NAMED",
    "PROMISES",
    "BrokenPromise",
    "Contract",
    "check_attack",
    "check_dataset",
    "check_detector",
    "check_executor",
    "check_metric",
    "check_model",
    "check_recovery",
    "check_responder",
    "check_store",
    "check_trainer",
    "check_verifier",
    "contracts",
    "tiny_experiment",
    "tiny_model",
]

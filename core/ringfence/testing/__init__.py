"""Contracts that plugin authors can run against their own plugins.

Use ``check_detector(MyDetector())`` and so on in a test. Each check plays the part of
the core on a tiny run, and fails with a sentence that says which promise was broken.
"""

from ringfence.testing.attacks import check_attack, check_recovery
from ringfence.testing.defenses import (
    check_detector,
    check_responder,
    check_trainer,
    check_verifier,
)
from ringfence.testing.named import check_dataset, check_model
from ringfence.testing.tiny import tiny_experiment, tiny_model

#: hook: what checks the strategy it makes
CHECKS = {
    "make_trainer": check_trainer,
    "make_detector": check_detector,
    "make_responder": check_responder,
    "make_verifier": check_verifier,
    "make_attack": check_attack,
    "make_recovery": check_recovery,
}

__all__ = [
    "CHECKS",
    "check_attack",
    "check_dataset",
    "check_detector",
    "check_model",
    "check_recovery",
    "check_responder",
    "check_trainer",
    "check_verifier",
    "tiny_experiment",
    "tiny_model",
]

"""How a victim was trained, as far as a result file tells.

A file names the defenses, not which of them makes a trainer. What is certain: no defense that
trains means plain training; a trainer's report means another one. Else the victim's accuracy
beside that of an undefended run decides, here or in :mod:`ringfence_bench.twins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence_bench.identities import join

PLAIN, GIVEN, UNKNOWN = "plain", "given", "unknown"
MARK = "given_victim"  #: the victim was the user's own model


def trained(result: Mapping[str, Any]) -> str | None:
    """Return plain, given, the defenses that may have trained, or unknown; None: no victim."""
    run, victim, baseline = result["run"], result["victim"], result["baseline"]
    able = may_train(run["defense"], run["skip"])
    if victim["accuracy"] is None:
        return None
    if MARK in run["marks"]:
        return GIVEN
    if not able:
        return PLAIN
    if victim["report"]:
        return join(able)
    if baseline is None:
        return UNKNOWN
    return PLAIN if baseline["victim"]["accuracy"] == victim["accuracy"] else join(able)


def may_train(defenses: list[str], skip: list[str]) -> list[str]:
    """Return the defenses whose training phase, if they have one, was not left out."""
    return [name for name in defenses if f"{name}.train" not in skip]

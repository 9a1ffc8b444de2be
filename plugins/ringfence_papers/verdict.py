"""Whether a claim of the paper holds in what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from attrs import frozen

from ringfence_papers.filled import Filled
from ringfence_papers.spread import Spread, spread
from ringfence_papers.table import Claim

Word = Literal["holds", "holds weaker", "fails", "not run"]
ENOUGH = 0.5  #: an effect of less than this share of the published one is a weaker one


@frozen
class Finding:
    """One row's share in the verdict on a claim."""

    row: int
    word: Word
    effect: Spread | None  #: the column less the other, paired by seed. Bounds: the figure itself
    published: float | None  #: the effect in the paper
    why: str = ""


@frozen
class Verdict:
    """What becomes of a claim over the rows that it is about."""

    claim: Claim
    word: Word
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many rows say what."""
        return Counter(one.word for one in self.findings)


def verdicts(filled: Filled) -> Iterator[Verdict]:
    """Yield the verdict on every claim of a table."""
    for claim in filled.table.claims:
        findings = tuple(
            _finding(filled, claim, place)
            for place, row in enumerate(filled.table.rows)
            if all(row.at.get(name) == value for name, value in claim.rows.items())
        )
        yield Verdict(claim, _together([one.word for one in findings]), findings)


def _together(words: Sequence[Word]) -> Word:
    """Holds: in every row that was run. Weaker: the right way in most of them. Else it fails."""
    run = [word for word in words if word != "not run"]
    if not run:
        return "not run"
    if all(word == "holds" for word in run):
        return "holds"
    return "holds weaker" if 2 * run.count("fails") < len(run) else "fails"


def _finding(filled: Filled, claim: Claim, place: int) -> Finding:
    other = claim.below or claim.above
    if other is None:
        return _bounded(filled, claim, place)
    one, two = (filled.cells[place][name].seeds for name in (claim.column, other))
    pairs = [one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())]
    printed = [filled.published(place, name) for name in (claim.column, other)]
    scale = 100 if _column(filled, claim.column) else 1
    theirs = None
    if printed[0] is not None and printed[1] is not None:
        theirs = (printed[0] - printed[1]) / scale
    return _judged(place, spread(pairs), theirs, -1 if claim.below else 1)


def _judged(place: int, effect: Spread | None, theirs: float | None, side: int) -> Finding:
    """Judge a difference that is claimed to have the sign ``side``."""
    if effect is None:
        return Finding(place, "not run", None, theirs)
    if side * effect.mean <= 0:
        return Finding(place, "fails", effect, theirs)
    if effect.half is None:
        return Finding(place, "holds weaker", effect, theirs, "one seed")
    if abs(effect.mean) <= effect.half:
        return Finding(place, "holds weaker", effect, theirs, "the interval reaches zero")
    if theirs is not None and side * effect.mean < side * ENOUGH * theirs:
        return Finding(place, "holds weaker", effect, theirs, "less than half the published effect")
    return Finding(place, "holds", effect, theirs)


def _bounded(filled: Filled, claim: Claim, place: int) -> Finding:
    """Judge a claim about one figure: every seed within the bound, or the mean alone."""
    cell = filled.cells[place][claim.column]
    theirs = filled.published(place, claim.column)
    if (found := cell.spread) is None:
        return Finding(place, "not run", None, theirs)
    sign, bound = (1, claim.at_least) if claim.at_least is not None else (-1, claim.at_most)
    within = [sign * (value - (bound or 0.0)) >= 0 for value in cell.seeds.values()]
    if all(within):
        few = len(within) < 2
        return Finding(place, "holds weaker" if few else "holds", found, theirs, "one seed" * few)
    if sign * (found.mean - (bound or 0.0)) >= 0:
        return Finding(place, "holds weaker", found, theirs, "not for every seed")
    return Finding(place, "fails", found, theirs)


def _column(filled: Filled, name: str) -> bool:
    return next(column.percent for column in filled.table.columns if column.name == name)

"""A run's ledger in a folder of its own, with what one must know to judge a suspect by it.

It may come from somebody else: sizes are checked before anything is read, and every value after.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen, validators
from cattrs import BaseValidationError
from torch import Tensor

from ringfence import artifact, options
from ringfence.errors import BadEvidence
from ringfence.experiment import Experiment
from ringfence.ledger import Ledger
from ringfence.protocols import MarkedAnswers

FOLDER = "ledger"
SCHEMA = 1
LIMIT = 4 << 30  #: bytes of a file
PARTS = ("plugin", "kind", "clients", "images", "answers")  #: of a mark, as dumped


@frozen(kw_only=True)
class Origin:
    """What was guarded when the ledger was written."""

    dataset: str
    model: str | None  #: the victim's architecture by name
    options: dict[str, Any]  #: of that model
    labels: str  #: the answer format
    num_classes: int = field(validator=[validators.ge(2), validators.le(1_000_000)])
    image_shape: tuple[int, ...] = field(validator=[validators.min_len(3), validators.max_len(3)])


@frozen(eq=False)
class Exhibit:
    """A ledger and where it comes from."""

    origin: Origin
    ledger: MarkedAnswers

    @classmethod
    def of_run(cls, run: Experiment) -> Exhibit:
        """Return the ledger of a run as it is now."""
        model = run.spec.get("model")
        origin = Origin(
            dataset=run.spec.get("dataset", "given"),
            model=model,
            options=run.spec.get("options", {}).get(model, {}),
            labels=run.labels,
            num_classes=run.num_classes,
            image_shape=run.image_shape,
        )
        return cls(origin, run.store.ledger)

    def save(self, folder: Path) -> None:
        """Write everything to the new folder ``folder``."""
        marks = [{name: mark[name] for name in PARTS} for mark in self.ledger.dump()]
        artifact.save(
            folder, {"schema": SCHEMA, "origin": attrs.asdict(self.origin), "marks": marks}
        )


def load(folder: Path, device: str = "cpu") -> Exhibit:
    """Return what :meth:`Exhibit.save` wrote; raise an error that says what is wrong with it."""
    tree = artifact.load(folder, device, LIMIT)
    try:
        if tree["schema"] != SCHEMA:
            raise ValueError(f"its schema is {tree['schema']!r}, not {SCHEMA}")
        origin = options.converter.structure(tree["origin"], Origin)
        for mark in tree["marks"]:
            _check(mark, origin)
    except (AttributeError, LookupError, TypeError, ValueError, BaseValidationError) as error:
        why = str(error).partition("\n")[0]
        raise BadEvidence(
            f"{folder} is not the ledger of a run ({why}). Give the folder {FOLDER!r} that a run "
            "leaves in its --out."
        ) from error
    ledger = Ledger()
    ledger.load(tree["marks"])
    return Exhibit(origin, ledger)


def _check(mark: Mapping[str, Any], origin: Origin) -> None:
    """Refuse a mark that a run could not have written."""
    if sorted(mark) != sorted(PARTS):
        raise ValueError(f"a mark has the parts {', '.join(sorted(mark))}")
    clients, images, answers = mark["clients"], mark["images"], mark["answers"]
    texts = [mark["plugin"], mark["kind"], *clients]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name is no text")
    _check_tensor("images", images, (len(clients), *origin.image_shape))
    _check_tensor("answers", answers, (len(clients), origin.num_classes))


def _check_tensor(name: str, found: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(found, Tensor) or not found.is_floating_point() or found.shape != shape:
        raise ValueError(f"{name} are not float {shape}")
    if not ((found >= 0) & (found <= 1)).all():  # NaN fails both
        raise ValueError(f"{name} are not all in [0, 1]")

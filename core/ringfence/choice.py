"""What a user selects for one run, on the command line, in a spec file or in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen, validators

from ringfence import defaults

_count = validators.optional(validators.gt(0))
THREADS = 1024  #: at most


def _name(meaning: str) -> Any:
    """Return a field for a name that need not be given, and is not empty."""
    validator: Any = validators.optional(validators.min_len(1))
    return field(default=None, validator=validator, metadata={"help": meaning})


def _names(meaning: str) -> Any:
    """Return a field for any number of names."""
    validator: Any = validators.deep_iterable(validators.min_len(1))
    return field(default=(), validator=validator, metadata={"help": meaning})


@frozen(kw_only=True)
class Choice:
    """One run as the user named it; ``None`` means the default."""

    dataset: str = field(factory=lambda: defaults.DATASET, metadata={"help": "what is learnt"})
    data_root: Path | None = field(default=None, metadata={"help": "where data sets lie"})
    offline: bool = field(default=False, metadata={"help": "download nothing"})
    model: str | None = _name("the victim's architecture")
    substitute: str | None = _name("the attacker's architecture")
    pool: str | None = _name("the attacker's images; train, half: the data set's own")
    outliers: str | None = _name("the defender's images")
    attack: str = field(factory=lambda: defaults.ATTACK, metadata={"help": "who steals"})
    recovery: tuple[str, ...] = _names("first is outermost")
    defense: tuple[str, ...] = _names("the order counts")
    skip: tuple[str, ...] = _names("NAME.PHASE to leave out")
    metric: tuple[str, ...] = _names("further figures")
    labels: str = field(default="soft", metadata={"help": "answer format"})
    budget: int | None = field(
        default=None, validator=_count, metadata={"help": "the attacker's queries"}
    )
    benign_clients: int = field(
        default=20, validator=validators.ge(0), metadata={"help": "ordinary clients"}
    )
    attacker_clients: int = field(
        default=1, validator=validators.gt(0), metadata={"help": "the attacker's accounts"}
    )
    oracle: str = field(default="local", metadata={"help": "where answers come from"})
    store: str = field(default="memory", metadata={"help": "what keeps the defenses' memory"})
    seed: int = field(default=0, metadata={"help": "of every random stream"})
    device: str = field(default="cpu", metadata={"help": "cpu, cuda or cuda:N"})
    threads: int | None = field(
        default=None,
        validator=validators.and_(_count, validators.optional(validators.le(THREADS))),
        metadata={"help": "of PyTorch on the CPU"},
    )
    cache: Path | None = field(default=None, metadata={"help": "folder of trained victims"})
    options: Mapping[str, Mapping[str, Any]] = field(factory=dict)

    def of(self, name: str) -> Mapping[str, Any]:
        """Return the options given for the plugin ``name``, whatever its variant."""
        return self.options.get(name.partition(":")[0], {})

"""The whole of a run, which the core alone holds, and how it makes the views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from attrs import field, frozen, validators
from torch import Tensor, nn

from ringfence import provenance
from ringfence.cache import Cache
from ringfence.fingerprint import fingerprint
from ringfence.memorystore import MemoryStore
from ringfence.oracles import Local
from ringfence.protocols import OracleSource, Store
from ringfence.randomness import Streams
from ringfence.recipe import Recipe
from ringfence.rehearsal import LoadImages, Rehearse, load_nothing
from ringfence.run import AttackRun, DefenseRun, no_public
from ringfence.types import Split


@frozen(eq=False)
class Experiment:
    """One victim, one attacker, any number of defenses, benign clients, one seed."""

    train: Split
    validation: Split
    test: Split
    pool: Tensor
    seeds: Tensor
    num_classes: int
    new_model: Callable[[], nn.Module]
    new_substitute: Callable[[], nn.Module]
    outliers: Tensor | None = None
    given: nn.Module | None = None  #: a trained victim of the user's; then nothing is trained
    recipe: Recipe = field(factory=Recipe)
    substitute_recipe: Recipe = field(factory=Recipe)
    budget: int = field(default=500, validator=validators.gt(0))
    labels: str = "soft"
    benign_clients: int = field(default=20, validator=validators.ge(0))
    attacker_clients: int = field(default=1, validator=validators.gt(0))
    owner_queries: int = field(default=10_000, validator=validators.gt(0))
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    spec: Mapping[str, Any] = field(factory=dict)  #: what the user selected, plain values
    oracle: OracleSource = field(factory=Local)
    store: Store = field(factory=MemoryStore)
    metrics: Mapping[str, Callable[..., Mapping[str, Any]]] = field(factory=dict)
    cache: Cache = field(factory=Cache)
    load_images: LoadImages = load_nothing
    public: Callable[[str], Split] = no_public  #: data sets by name, for the attacker
    pool_labels: Tensor | None = None
    data: Mapping[str, str | None] = field(init=False)  #: hashes of all images and labels

    @data.default
    def _hash_data(self) -> dict[str, str | None]:
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        others = {"pool": self.pool, "seeds": self.seeds, "outliers": self.outliers}
        hashes = {n: fingerprint(split.images, split.labels) for n, split in splits.items()}
        return hashes | {n: None if o is None else fingerprint(o) for n, o in others.items()}

    @property
    def streams(self) -> Streams:
        """The core's own streams."""
        return Streams(self.seed, self.device)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return tuple(self.train.images.shape[1:])

    def key(self, parts: tuple[str, ...], *more: Any) -> str:
        """Return a hash of ``more``, of the named ``parts`` of the data, and of what all share."""
        data = {name: self.data[name] for name in parts}
        where = (self.seed, self.device, self.threads, provenance.versions())
        return fingerprint(data, where, list(more))

    def victim_key(self, *more: Any) -> str:
        """Return the key of a victim of this run; ``more``: its trainer and random stream."""
        model = provenance.identify_factory(self.new_model)
        given = fingerprint(*self.given.state_dict().values()) if self.given else None
        return self.key(("train", "validation"), model, given, attrs.asdict(self.recipe), *more)

    def for_attack(self, name: str, plugin: Any = None, scope: str = "attacker") -> AttackRun:
        """Return the attacker's view for the plugin selected as ``name``.

        ``scope`` parts the attack proper from those that only make controls.
        """
        model = provenance.identify_factory(self.new_substitute)
        told = (model, attrs.asdict(self.substitute_recipe), self.budget, scope)
        key = self.key(("pool", "seeds"), told, provenance.identify(plugin))
        return AttackRun(
            pool=self.pool,
            seeds=self.seeds,
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            new_model=self.new_substitute,
            recipe=self.substitute_recipe,
            budget=self.budget,
            device=self.device,
            streams=self.streams.scope(f"{scope}/{name}"),
            cache=self.cache.child("attack", name, key),
            rehearse=Rehearse().defense,  # which loads no sets: the victim's is one
            pool_labels=self.pool_labels,
            public=self.public,
        )

    def for_defense(self, name: str, plugin: Any = None, victim: str = "") -> DefenseRun:
        """Return the view of the defense selected as ``name``; ``victim`` is the victim's key."""
        parts = ("train", "validation", "outliers")
        key = self.key(parts, self.victim_key(), victim, provenance.identify(plugin))
        return DefenseRun(
            dataset=self.spec.get("dataset", "given"),
            train=self.train,
            validation=self.validation,
            image_shape=self.image_shape,
            num_classes=self.num_classes,
            new_model=self.new_model,
            recipe=self.recipe,
            store=self.store.of(name),
            device=self.device,
            secret=self.streams.secret(name),
            streams=self.streams.scope(f"defense/{name}"),
            cache=self.cache.child("defense", name, key),
            outliers=self.outliers,
            rehearse=Rehearse(self.load_images).attack,
        )

"""Plugins by kind and name: the user's own objects first, then what is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ringfence import plugins


@frozen(eq=False)
class Catalogue:
    """Builds the plugins of one run with the user's options."""

    options: Mapping[str, Mapping[str, Any]]
    own: Mapping[tuple[str, str], Any] = field(factory=dict)  #: (kind, name): an object

    def build(self, kind: str, name: str) -> Any:
        """Return the plugin called ``NAME`` or ``NAME:VARIANT``."""
        if (kind, name) in self.own:
            return self.own[kind, name]
        return plugins.build(kind, name, self.options.get(name.partition(":")[0]))

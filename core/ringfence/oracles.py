"""Where answers come from: the ``--oracle`` of a run. ``local`` is the default.

Another oracle, from a package of its own, answers in the victim's place. Then no defender's
hook is asked, and what needs the victim is null in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from ringfence.protocols import Endpoint


@define(eq=False)
class Local:
    """The victim of this run, in this process, behind its defenses."""

    def connect(self, serve: Callable[[], Endpoint]) -> Endpoint:
        """Return what ``serve`` sets up: it trains the victim and puts the defenses before it."""
        return serve()

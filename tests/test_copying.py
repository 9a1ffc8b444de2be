"""Copies of states share nothing that can change."""

from __future__ import annotations

import copy

from attrs import define, field, frozen

from ringfence.copying import copied


@define
class Inner:
    count: int = 0
    rows: list[int] = field(factory=list)


@define
class State:
    name: str = "a"
    share: float = 0.5
    known: bool = False
    inner: Inner = field(factory=Inner)
    by_name: dict[str, list[int]] = field(factory=dict)
    late: int = field(default=3, init=False)


@frozen
class Fixed:
    inner: Inner


def test_a_copy_is_equal_and_changes_alone():
    state = State(inner=Inner(1, [2]), by_name={"x": [1]})
    state.late = 9
    expected = copy.deepcopy(state)

    twin = copied(state)

    assert twin == expected
    twin.inner.count, twin.late = 5, 0
    twin.inner.rows.append(3)
    twin.by_name["x"].append(3)
    assert state == expected


def test_a_frozen_state_is_copied_too():
    state = Fixed(Inner(1))

    twin = copied(state)

    assert twin == state
    assert twin.inner is not state.inner

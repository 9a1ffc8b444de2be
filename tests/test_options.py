"""Options are checked strictly, and blamed by name."""

from __future__ import annotations

from typing import Literal

import pytest
from attrs import define, field, validators

from ringfence import options
from ringfence.errors import RingfenceError


@define(eq=False)
class Plugin:
    rate: float = field(default=0.5, validator=validators.lt(1))
    count: int = 3
    rule: Literal["exact", "paper"] = "exact"
    on: bool = False
    names: tuple[str, ...] = ()
    maybe: float | None = None
    text: str = ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": 0}, 0.0),
        ({"names": ["a", "b"]}, ("a", "b")),
        ({"names": "a,b"}, ("a", "b")),
        ({"maybe": None}, None),
        ({"maybe": 1}, 1.0),
        ({"rule": "paper"}, "paper"),
    ],
)
def test_right_values_become_the_type_of_the_field(given, expected):
    [(name, _)] = given.items()
    value = getattr(options.instantiate("it", Plugin, given), name)

    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": "0.5"}, "Option it.rate must be of type float: '0.5'."),
        ({"rate": 2.0}, "Option it.rate must be < 1: 2.0."),
        ({"count": True}, "Option it.count must be of type int: True."),
        ({"count": 1.0}, "Option it.count must be of type int: 1.0."),
        ({"on": 1}, "Option it.on must be of type bool: 1."),
        ({"text": 5}, "Option it.text must be of type str: 5."),
        ({"rule": "exat"}, "No it.rule is named 'exat'. Did you mean 'exact'?"),
        ({"names": [1]}, "Option it.names is not a tuple"),
        ({"maybe": "x"}, "Option it.maybe"),
        ({"cuont": 1}, "No option of it is named 'cuont'. Did you mean 'count'?"),
    ],
)
def test_wrong_values_blame_one_option(given, message):
    with pytest.raises(RingfenceError) as caught:
        options.instantiate("it", Plugin, given)

    assert str(caught.value).startswith(message)
    assert caught.value.option == f"it.{next(iter(given))}"


def test_options_of_an_instance_include_the_defaults():
    assert options.of(Plugin(count=4))["count"] == 4
    assert options.of(Plugin())["rate"] == 0.5

"""Options are checked strictly, and blamed by name."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Literal

import pytest
from attrs import define, field, validators

from ringfence import options
from ringfence.errors import BadOption, RingfenceError


@define(eq=False)
class Plugin:
    rate: float = field(default=0.5, validator=validators.lt(1))
    count: int = 3
    rule: Literal["exact", "paper"] = "exact"
    on: bool = False
    names: tuple[str, ...] = ()
    maybe: float | None = None
    text: str = ""
    how: Literal["soft", "hard"] | None = None
    both: int = field(default=1)

    @both.validator
    def _fits(self, _, value):
        if value > 1 and self.on:
            raise ValueError("'both' must be 1 when it is on")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"rate": 0}, 0.0),
        ({"names": ["a", "b"]}, ("a", "b")),
        ({"names": "a,b"}, ("a", "b")),
        ({"maybe": None}, None),
        ({"maybe": 1}, 1.0),
        ({"rule": "paper"}, "paper"),
        ({"how": "hard"}, "hard"),
        ({"how": None}, None),
        ({"both": 2}, 2),
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
        ({"how": "sotf"}, "No it.how is named 'sotf'. Did you mean 'soft'? Known: hard, soft."),
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


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(BadOption, match="'both' must be 1 when it is on"):
        options.instantiate("it", Plugin, {"both": 2, "on": True})


def test_options_of_an_instance_include_the_defaults():
    assert options.of(Plugin(count=4))["count"] == 4
    assert options.of(Plugin())["rate"] == 0.5


def no_shorter(_, attribute, value):
    if value is not None and len(str(value)) < 4:
        raise BadOption(f"'{attribute.name}' has {len(str(value))} characters, of 4")


@define(eq=False)
class Safe:
    word: str | None = field(default=None, validator=no_shorter, metadata={"secret": True})
    file: Path | None = field(default=None, metadata={"secret": True})
    limit: str = field(default="", validator=validators.max_len(8), metadata={"secret": True})
    plain: int = 1


def test_of_a_secret_only_the_beginning_of_a_digest_is_recorded(tmp_path):
    (tmp_path / "one").write_text("the password")
    (tmp_path / "two").write_text("the password")
    told = options.of(Safe(word="the password", file=tmp_path / "one"))

    assert told["word"] == told["file"] == options.of(Safe(file=tmp_path / "two"))["file"]
    assert re.fullmatch("sha256:[0-9a-f]{12}", told["word"])
    assert told["word"] != options.of(Safe(word="the passwork"))["word"]
    assert options.of(Safe())["word"] is None
    assert options.of(Safe(plain=3))["plain"] == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"word": "xyz"}, "Option it.word has 3 characters, of 4."),
        ({"word": 31337}, "Option it.word was refused, and is not shown; quote a number twice"),
        ({"word": ["unspoken"]}, "Option it.word was refused, and is not shown"),
        ({"limit": "far too long"}, "Option it.limit was refused, and is not shown."),
    ],
)
def test_a_refused_secret_is_not_told(given, message):
    with pytest.raises(RingfenceError) as caught:
        options.instantiate("it", Safe, given)

    assert str(caught.value).startswith(message)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(str(value) in shown for value in given.values())

"""The columns of the table: what each means, and where a result file holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ringfence_bench import identities, outcomes
from ringfence_bench.files import Unreadable

Result = Mapping[str, Any]
LARGEST = 2**63  #: of an int64 column


@frozen
class Column:
    """One column: ``kind`` is str, int, float or bool; every value may be null."""

    name: str
    kind: type
    meaning: str
    of: Callable[[Result], Any]


def _at(*keys: str) -> Callable[[Result], Any]:
    def look(result: Any) -> Any:
        for key in keys:
            result = result[key]
        return result

    return look


def _run(name: str, kind: type, meaning: str) -> Column:
    return Column(name, kind, meaning, _at("run", name))


def _took(name: str, key: str, meaning: str) -> Column:
    return Column(name, float, meaning, lambda result: result.get("seconds", {}).get(key))


def _cost(name: str, side: str, meaning: str) -> Column:
    """Return a column of ``seconds.cost``, which holds attack and defense; either may be null."""

    def look(result: Result) -> Any:
        return ((result.get("seconds", {}).get("cost") or {}).get(side) or {}).get(name)

    return Column(name, float, meaning, look)


COLUMNS = (
    Column("run", str, "the run's id", _at("run", "id")),
    _run("dataset", str, "the victim's data set"),
    _run("model", str, "the victim's architecture"),
    _run("substitute", str, "the attacker's architecture"),
    _run("pool", str, "the attacker's images"),
    _run("outliers", str, "the defender's images"),
    _run("attack", str, "who steals"),
    Column("recovery", str, "joined by ' + ', or none", identities.joined("recovery")),
    Column("defense", str, "joined by ' + ' in order, or none", identities.joined("defense")),
    Column("skip", str, "phases left out, or none", identities.joined("skip")),
    _run("labels", str, "the answer format"),
    _run("budget", int, "queries the attacker may ask"),
    _run("seed", int, "of every random stream"),
    _run("benign_clients", int, "ordinary clients"),
    _run("attacker_clients", int, "the attacker's accounts"),
    _run("owner_queries", int, "queries the owner may ask of a suspect"),
    _run("oracle", str, "where answers come from"),
    _run("store", str, "what keeps the defenses' memory"),
    _run("device", str, "cpu, cuda, cuda:N"),
    _run("threads", int, "of PyTorch"),
    Column("marks", str, "joined by ' + ', or none", identities.joined("marks")),
    Column("libraries", str, "versions of ringfence, torch and others", identities.libraries),
    Column("plugins", str, "versions of the distributions of plugins", identities.plugins),
    Column("recipe", str, "the victim's training, JSON", identities.recipe),
    Column("attack_options", str, "of attack and recoveries, JSON", identities.attack_options),
    Column("defense_options", str, "of the defenses, JSON", identities.defense_options),
    Column("other_options", str, "of all other plugins, JSON", identities.other_options),
    Column("data_victim", str, "hashes of train, validation, test", identities.data_victim),
    Column("data_attacker", str, "hashes of pool, seeds", identities.data_attacker),
    Column("victim_accuracy", float, "on the test set", _at("victim", "accuracy")),
    Column("victim_trained", str, "plain, given, or a defense's name", outcomes.trained),
    Column("queries", int, "spent by the attacker", _at("attack", "queries")),
    Column("substitute_accuracy", float, "on the test set", _at("substitute", "accuracy")),
    Column("fidelity", float, "agreement with the victim", _at("substitute", "fidelity")),
    Column("recovered", float, "substitute's over victim's", _at("substitute", "recovery")),
    Column("benign_queries", int, "of ordinary clients", _at("benign", "queries")),
    Column("benign_accuracy", float, "through the guard", _at("benign", "accuracy")),
    Column("benign_changed", float, "of their top-1 answers", _at("benign", "changed")),
    Column("benign_l1", float, "mean change of their answers", _at("benign", "l1")),
    Column("benign_suspected", float, "of the clients, ever", _at("benign", "suspected")),
    Column("changed", float, "of the attacker's top-1 answers", outcomes.change("changed")),
    Column("l1", float, "mean change of the attacker's answers", outcomes.change("l1")),
    Column("first_alarm", int, "attacker's queries until suspected", outcomes.first_alarm),
    Column("p_substitute", float, "smallest over the verifiers", outcomes.p_substitute),
    Column("p_control", float, "smallest over verifiers and controls", outcomes.p_control),
    Column("stolen", bool, "a verifier calls the substitute stolen", outcomes.stolen),
    Column("false_claims", int, "controls called stolen", outcomes.false_claims),
    Column("metrics", str, "what each metric returned, JSON", identities.metrics),
    _took("seconds_victim", "victim", "seconds of the victim's stage"),
    _took("seconds_attack", "attack", "seconds of the attack"),
    _took("seconds_benign", "benign", "seconds of the benign clients"),
    _took("seconds_evidence", "evidence", "seconds of the evidence"),
    _took("seconds_total", "total", "seconds of all stages"),
    _took("peak_memory_mib", "peak_memory_mib", "most memory of the process so far, MiB"),
    _cost("price_usd", "attack", "of the attacker's queries"),
    _cost("device_hours", "attack", "of the attack"),
    _cost("model_ms_per_query", "defense", "in the victim's model"),
    _cost("added_ms_per_query", "defense", "in detectors and responders"),
    _cost("bytes_per_client", "defense", "of what the defenses remember"),
    _cost("ledger_bytes", "defense", "of altered answers kept as evidence"),
)


def row(result: Result) -> tuple[Any, ...]:
    """Return the values of a result file, one per column.

    Raises :class:`Unreadable` where a key is missing or holds something else.
    """
    values = []
    for column in COLUMNS:
        try:
            values.append(_checked(column, column.of(result)))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            told = json.dumps(str(error))[1:81]
            raise Unreadable(f"it is no result of a run: {column.name} ({told})") from error
    return tuple(values)


def _checked(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind is float and type(value) is int:
        return float(value)
    if type(value) is not column.kind:
        raise TypeError(f"{column.kind.__name__} expected, {type(value).__name__} found")
    if type(value) is int and not -LARGEST <= value < LARGEST:
        raise OverflowError("more than 64 bits")
    return value

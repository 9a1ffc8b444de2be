"""Ask the selected plugins, one at a time, in the order in which the user named them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pluggy

from ringfence import hookspecs
from ringfence.errors import BrokenPlugin, UnknownName, WrongNumber

PHASES = {
    "make_trainer": "train",
    "make_detector": "detect",
    "make_responder": "respond",
    "make_verifier": "verify",
    "make_attack": "attack",
    "make_recovery": "recover",
}


def manager(plugins: Mapping[str, Any]) -> pluggy.PluginManager:
    """Register ``plugins`` so that hook results come in the order given."""
    pm = pluggy.PluginManager(hookspecs.PROJECT)
    for spec in hookspecs.HOOKED.values():
        pm.add_hookspecs(spec)
    for name, plugin in reversed(list(plugins.items())):  # pluggy calls the last one first
        pm.register(plugin, name=name)
    pm.check_pending()
    return pm


def ask(
    pm: pluggy.PluginManager,
    hook: str,
    arguments: Callable[[str], dict[str, Any]],
    skip: Collection[str] = (),
) -> dict[str, Any]:
    """Ask one plugin at a time, with ``arguments(name)``; return strategies by plugin name.

    Wrappers, whoever brings them, surround each call. ``skip`` holds NAME.PHASE.
    """
    made: dict[str, Any] = {}
    everyone = _makers(pm, hook, ())
    for maker in _makers(pm, hook, skip):
        others = [other.plugin for other in everyone if other is not maker]
        answers = pm.subset_hook_caller(hook, others)(**arguments(maker.plugin_name))
        if len(answers) > 1:
            raise BrokenPlugin(f"A wrapper made {len(answers)} of one answer to {hook}.")
        if answers:
            made[maker.plugin_name] = answers[0]
    return made


def _makers(pm: pluggy.PluginManager, hook: str, skip: Collection[str]) -> list[pluggy.HookImpl]:
    """Return the implementations that are no wrappers, in the order of selection."""
    impls = reversed(getattr(pm.hook, hook).get_hookimpls())
    phase = PHASES[hook]
    return [i for i in impls if not i.wrapper and f"{i.plugin_name}.{phase}" not in skip]


def at_most_one(hook: str, made: Mapping[str, Any]) -> Any:
    """Return the only strategy, or ``None``; two are an error that names both."""
    if len(made) > 1:
        raise WrongNumber(
            f"Only one plugin can {hook.replace('_', ' a ')} per run, but "
            f"{' and '.join(sorted(made))} both do. Select one of them."
        )
    return next(iter(made.values()), None)


def exactly_one(hook: str, made: Mapping[str, Any]) -> Any:
    """Return the only strategy."""
    strategy = at_most_one(hook, made)
    if strategy is None:
        raise WrongNumber(f"No selected plugin can {hook.replace('_', ' an ')}.")
    return strategy


def require_attack(selected: Mapping[str, Any], skip: Collection[str] = ()) -> None:
    """Refuse a selection without attack or with two trainers, before anything is trained."""
    pm = manager(selected)
    exactly_one("make_attack", {i.plugin_name: i for i in _makers(pm, "make_attack", skip)})
    at_most_one("make_trainer", {i.plugin_name: i for i in _makers(pm, "make_trainer", skip)})


def refuse_unknown_phases(selected: Mapping[str, Any], skip: Collection[str]) -> None:
    """Refuse a NAME.PHASE of ``skip`` that no selected plugin fills."""
    known = [
        f"{name}.{phase}"
        for name, plugin in selected.items()
        for hook, phase in PHASES.items()
        if hasattr(plugin, hook)
    ]
    for phase in skip:
        if phase not in known:
            raise UnknownName("phase", phase, known)

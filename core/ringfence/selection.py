"""Ask the selected plugins, one at a time, in the order in which the user named them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pluggy

from ringfence import hookspecs
from ringfence.errors import BadOption, BrokenPlugin, UnknownName, WrongNumber
from ringfence.hookspecs import PHASES
from ringfence.randomness import Streams, seeded


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
    streams: Streams | None = None,
) -> dict[str, Any]:
    """Ask one plugin at a time, with ``arguments(name)``; return strategies by plugin name.

    Wrappers, whoever brings them, surround each call; each starts at its own place of the
    global random stream, below ``streams``. ``skip`` holds NAME.PHASE.
    """
    made: dict[str, Any] = {}
    skipped = [i.plugin for i in _impls(pm, hook) if _phase(i, hook) in skip]
    everyone = [i.plugin for i in _impls(pm, hook) if not i.wrapper]
    for maker in makers(pm, hook, skip):
        others = [other for other in everyone if other is not maker.plugin] + skipped
        caller = pm.subset_hook_caller(hook, others)
        with seeded(streams or Streams(0), f"{hook}/{maker.plugin_name}"):
            answers = caller(**arguments(maker.plugin_name))
        strategy = _only(hook, answers)
        if strategy is not None:
            made[maker.plugin_name] = strategy
    return made


def makers(pm: pluggy.PluginManager, hook: str, skip: Collection[str]) -> list[pluggy.HookImpl]:
    """Return the implementations that are no wrappers, in the order of selection."""
    return [i for i in _impls(pm, hook) if not i.wrapper and _phase(i, hook) not in skip]


def involved(
    pm: pluggy.PluginManager, hook: str, skip: Collection[str], made: Collection[str]
) -> list[Any]:
    """Return the plugins, named in ``made``, that a hook made something of, and all wrappers."""
    return [
        i.plugin
        for i in _impls(pm, hook)
        if (i.wrapper or i.plugin_name in made) and _phase(i, hook) not in skip
    ]


def _impls(pm: pluggy.PluginManager, hook: str) -> list[pluggy.HookImpl]:
    """Return all implementations in the user's order, whatever they ask of pluggy."""
    names = [name for name, _ in pm.list_name_plugin()][::-1]
    return sorted(getattr(pm.hook, hook).get_hookimpls(), key=lambda i: names.index(i.plugin_name))


def _phase(impl: pluggy.HookImpl, hook: str) -> str:
    return f"{impl.plugin_name}.{PHASES[hook]}"


def _only(hook: str, answers: Any) -> Any:
    """Return the strategy in ``answers``: a wrapper may hand on the list, or the strategy."""
    if not isinstance(answers, list):
        return answers
    if len(answers) > 1:
        raise BrokenPlugin(f"A wrapper made {len(answers)} of one answer to {hook}.")
    return answers[0] if answers else None


def at_most_one(hook: str, made: Mapping[str, Any]) -> Any:
    """Return the only strategy, or ``None``; two are an error that names both."""
    if len(made) > 1:
        raise WrongNumber(
            f"Only one plugin can {hook.replace('_', ' a ')} per run, but "
            f"{' and '.join(sorted(made))} both do. Select one of them, or leave a phase out: "
            f"--skip {min(made)}.{PHASES[hook]}."
        )
    return next(iter(made.values()), None)


def exactly_one(hook: str, made: Mapping[str, Any]) -> Any:
    """Return the only strategy."""
    strategy = at_most_one(hook, made)
    if strategy is None:
        raise WrongNumber(f"No selected plugin can {hook.replace('_', ' an ')}.")
    return strategy


def require_attack(selected: Mapping[str, Any], skip: Collection[str] = ()) -> None:
    """Refuse a selection without an attack, or with two, before anything is trained."""
    exactly_one("make_attack", _made_by(manager(selected), "make_attack", skip))


def require_drivers(selected: Mapping[str, Any], skip: Collection[str] = ()) -> None:
    """Refuse a responder that waits for a detector which is not selected.

    It is ``driven_by`` some by name, or by any one if its class says ``needs_detector``.
    """
    pm = manager(selected)
    detectors = _made_by(pm, "make_detector", skip)
    known = ", ".join(detectors) or "none"
    for name in _made_by(pm, "make_responder", skip):
        drivers = getattr(selected[name], "driven_by", ())
        if stranger := next((driver for driver in drivers if driver not in detectors), None):
            raise BadOption(
                f"{name!r} is to be driven by {stranger!r}, which is no selected detector "
                f"(selected: {known}). Add --defense {stranger}, or change {name}.driven_by.",
                option=f"{name}.driven_by",
            )
        if getattr(selected[name], "needs_detector", False) and not detectors:
            raise WrongNumber(
                f"{name!r} acts on what a detector suspects, but no selected defense detects "
                "anything. Add --defense with one that does."
            )


def _made_by(pm: pluggy.PluginManager, hook: str, skip: Collection[str]) -> dict[str, Any]:
    """Return the plugins that may make such a strategy, by name."""
    return {impl.plugin_name: impl.plugin for impl in makers(pm, hook, skip)}


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

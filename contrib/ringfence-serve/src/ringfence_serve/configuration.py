"""What a guard is made of, as the evidence tells it: model, plugins, options, versions."""

from __future__ import annotations

from typing import Any

import msgspec

from ringfence import options as plugin_options
from ringfence import provenance
from ringfence.exhibit import Exhibit, Origin
from ringfence.registration import model_digest
from ringfence.reports import reports_of
from ringfence.service import Service
from ringfence_serve.chain import Chain
from ringfence_serve.configured import CONFIGURED, Configuration
from ringfence_serve.guarded import Guarded


def describe(guarded: Guarded, service: Service, observe: bool) -> Configuration:
    """Return the configuration of a guard that is about to serve."""
    origin = Exhibit.of_run(guarded.run).origin
    return Configuration(
        origin=msgspec.to_builtins(_plain(origin)),
        model=model_digest(guarded.victim.model.state_dict()),
        defenses={
            name: _printable(plugin_options.of(plugin)) for name, plugin in guarded.defenses.items()
        },
        skip=list(guarded.skip),
        found={name: dict(report) for name, report in reports_of(service.detectors).items()},
        versions=provenance.versions() | {"serve": provenance.version_of("ringfence-serve")},
        observe=observe,
        source=guarded.source,
    )


def record(chain: Chain, configuration: Configuration) -> int:
    """Add the configuration to the chain; return its number."""
    return chain.add(CONFIGURED, body=msgspec.json.encode(configuration)).seq


def _plain(origin: Origin) -> dict[str, Any]:
    return {
        "dataset": origin.dataset,
        "model": origin.model,
        "options": _printable(origin.options),
        "labels": origin.labels,
        "num_classes": origin.num_classes,
        "image_shape": list(origin.image_shape),
    }


def _printable(values: dict[str, Any]) -> dict[str, Any]:
    kinds = (bool, int, float, str, list, tuple, dict, type(None))
    return {name: v if isinstance(v, kinds) else str(v) for name, v in values.items()}

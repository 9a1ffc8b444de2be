"""One deliberately broken plugin for every promise, and what checks it.

Each module has ``BROKEN``: the name of a promise, and what calls the contract that must catch it.
"""

from broken import attackers, defenders, evidence, named, pieces, serving, stores

MODULES = (attackers, defenders, evidence, named, pieces, serving, stores)
BROKEN = {promise: check for module in MODULES for promise, check in module.BROKEN.items()}
assert len(BROKEN) == sum(len(module.BROKEN) for module in MODULES), "a promise is broken twice"

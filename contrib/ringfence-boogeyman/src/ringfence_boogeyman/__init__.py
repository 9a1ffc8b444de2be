"""Extraction of complex models: real threat or boogeyman?

Atli, Szyller, Juuti, Marchal, Asokan, "Extraction of Complex DNN Models: Real Threat or
Boogeyman?", 2020: detectors of queries that are none of the victim's task, and what limits the
Knockoff attack.
"""

import ringfence  # noqa: F401  # before torchvision: without CUDA its wheels need our declarations

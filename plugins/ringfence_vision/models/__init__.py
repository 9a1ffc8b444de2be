"""Classifiers by name; each class makes networks for a number of classes and an image shape."""

import ringfence  # noqa: F401  # before torchvision: without CUDA its wheels need our declarations

"""Which images a source's features may be moved to."""

from __future__ import annotations

import logging

import torch
from torch import Generator, Tensor, nn

from ringfence.inference import predict
from ringfence_cloudleak.crafting import Bank

SPARE = 100  #: guides taken from the pool where the seeds are of one class only

log = logging.getLogger(__name__)


def find_guides(
    model: nn.Module, seeds: Bank, pool: Tensor, wanted: int, generator: Generator
) -> tuple[Bank, Tensor]:
    """Return the guides, and which of them a seed may have, bool ``(S, G)``: of another class.

    ``wanted`` random images of the ``pool``, with the class that ``model`` sees in them; with 0
    the seeds themselves. Where that leaves no seed a guide, images of the pool, whatever their
    class.
    """
    guides = _some(model, pool, wanted, generator) if wanted else seeds
    allowed = seeds.classes[:, None] != guides.classes
    if allowed.any() or not len(pool) or not len(seeds.images):
        return guides, allowed
    log.warning("all seeds and guides are of one class; any image of the pool is a guide now")
    guides = _some(model, pool, wanted or SPARE, generator)
    return guides, torch.ones(
        len(seeds.images), len(guides.images), dtype=torch.bool, device=pool.device
    )


def _some(model: nn.Module, pool: Tensor, count: int, generator: Generator) -> Bank:
    order = torch.randperm(len(pool), generator=generator, device=generator.device)
    images = pool[order[:count]]
    return Bank(images, predict(model, images) if len(images) else order[:0])

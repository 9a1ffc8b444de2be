"""From which similarity of two hashes on an image counts as made from another one.

AMAO, section 5.6.2 and table 12: the threshold that best parts an attack's images and what they
were made from, from pairs of images that have nothing to do with each other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ringfence.calibration import Cut, best_cut, own_queries
from ringfence.errors import BadOption
from ringfence.images import as_float
from ringfence.run import DefenseRun
from ringfence_amao.phash import BITS, hamming, phash

Pairs = tuple[Tensor, Tensor]  #: originals and what was made from them, float ``(N, C, H, W)``


def similarities(pairs: Pairs, rule: str) -> Tensor:
    """Return the share of equal bits ``(N,)`` of the hashes of two images each."""
    one, other = (phash(images, rule) for images in pairs)
    return 1 - hamming(one, other).double() / BITS


def calibrate(related: Pairs, images: Tensor, rule: str) -> Cut:
    """Return the threshold that ``related`` pairs exceed, and neighbours in ``images`` do not.

    The accuracy is the balanced one of the same pairs. ``images`` are of one kind, in any order.
    """
    return best_cut(similarities(related, rule), similarities(strangers(images), rule))


def strangers(images: Tensor) -> Pairs:
    """Return each image beside its neighbour, which has nothing to do with it."""
    return images, images.roll(1, 0)


def rehearsed_pairs(
    run: DefenseRun, victim: nn.Module, attack: str, budget: int, pool: str
) -> Pairs:
    """Return what a rehearsed attack made, each beside the one of its seeds nearest in L2.

    The paper knows what each image was made from; of other people's attacks nobody does.
    """
    rehearsal = run.rehearse_attack(attack, victim, budget, pool)
    made, seeds = own_queries(rehearsal), as_float(rehearsal.seeds)
    if not len(made):
        raise BadOption(
            f"The rehearsed attack {attack!r} made no image of its own: no similarity can be "
            "calibrated on it. Give it a larger budget."
        )
    nearest = torch.cdist(made.flatten(1), seeds.flatten(1)).argmin(1)
    return seeds[nearest], made

"""The threshold below which a model's confidence in a query is suspicious.

Confidences are any numbers of which a malicious query tends to have smaller ones. A query is
flagged where its confidence is at most the threshold (AMAO, Eq. 9).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from attrs import Attribute, frozen
from numpy.typing import NDArray
from torch import Tensor, nn

from ringfence.confidence import max_softmax
from ringfence.errors import BadOption
from ringfence.fingerprint import fingerprint
from ringfence.images import as_float
from ringfence.plugins import build, installed
from ringfence.provenance import identify
from ringfence.randomness import image_bytes
from ringfence.rehearsal import OWN_IMAGES, Rehearsal
from ringfence.run import DefenseRun

#: AMAO's are from 1.19 to 2.30
TEMPERATURES = tuple(round(1 + step / 100, 2) for step in range(401))

Floats = NDArray[np.float64]


@frozen
class Cut:
    """A threshold, and the balanced accuracy that it has on what it was chosen on."""

    threshold: float
    accuracy: float


def best_cut(benign: Tensor, malicious: Tensor) -> Cut:
    """Return the threshold of the best balanced accuracy, from confidences ``(N,)``, ``(M,)``.

    Exact: every way to cut the sorted confidences is looked at. The threshold lies in the middle
    of the best gap; of equally good gaps the lowest is taken, which flags the fewest.
    """
    both = _sorted(benign), _sorted(malicious)
    values = np.unique(np.concatenate(both))
    flagged = [np.searchsorted(side, values, side="right") for side in both]
    # whole numbers, or rounding would break ties
    gains = flagged[1] * len(both[0]) - flagged[0] * len(both[1])
    best = int(gains.argmax())
    if gains[best] <= 0:  # no cut is better than to flag nothing
        return Cut(float(np.nextafter(values[0], -np.inf)), 0.5)
    accuracy = 0.5 + float(gains[best]) / (2 * len(both[0]) * len(both[1]))
    return Cut(_middle(values, best), accuracy)


def cut_at_rate(benign: Tensor, rate: float) -> float:
    """Return the largest threshold that flags at most the share ``rate`` of ``benign`` ``(N,)``."""
    values = _sorted(benign)
    allowed = min(int(rate * len(values) + 1e-9), len(values) - 1)
    return float(np.nextafter(values[allowed], -np.inf))


def best_temperature(
    benign: Tensor, malicious: Tensor, temperatures: Iterable[float] = TEMPERATURES
) -> tuple[float, Cut]:
    """Return the temperature and cut of the best balanced accuracy of the TMSP.

    From logits ``(N, K)`` and ``(M, K)``; of equally good temperatures the first is taken.
    """
    found: tuple[float, Cut] | None = None
    for temperature in temperatures:
        cut = best_cut(max_softmax(benign, temperature), max_softmax(malicious, temperature))
        if found is None or cut.accuracy > found[1].accuracy:
            found = temperature, cut
    if found is None:
        raise BadOption("There is no temperature to choose from. Give one at least.")
    return found


def malicious_images(
    run: DefenseRun, victim: nn.Module, attack: str, budget: int, pool: str, count: int
) -> Tensor:
    """Return up to ``count`` random queries of an attack on the defender's own ``victim``.

    Float ``(count, C, H, W)``. The attacker's seeds, which are training images, are left out: a
    threshold that was chosen on them would call benign images malicious.
    """
    images = own_queries(run.rehearse_attack(attack, victim, budget, pool))
    if not len(images):
        raise BadOption(
            f"The rehearsed attack {attack!r} sent seeds and nothing of its own: there is nothing "
            "malicious to calibrate on. Give it a larger budget."
        )
    random = run.generator("calibration")
    order = torch.randperm(len(images), generator=random, device=random.device)
    return images[order[:count].to(images.device)]


def own_queries(rehearsal: Rehearsal) -> Tensor:
    """Return what a rehearsed attack asked, ``(N, C, H, W)``, but for the seeds it was given."""
    images = torch.cat([queries.images for queries in rehearsal.queries])
    seeds = {image_bytes(seed) for seed in as_float(rehearsal.seeds)}
    made = [row for row, image in enumerate(images) if image_bytes(image) not in seeds]
    return images[torch.tensor(made, dtype=torch.int64, device=images.device)]


def installed_attack(_: object, attribute: Attribute[str], name: str) -> None:
    """Refuse, as a validator of attrs, what is no attack, before a victim is trained."""
    if name.partition(":")[0] not in (known := installed("attacks")):
        raise ValueError(f"{attribute.name!r} must be one of {', '.join(sorted(known))}: {name!r}")


def installed_pool(_: object, attribute: Attribute[str], name: str) -> None:
    """Refuse, as a validator of attrs, what no rehearsal takes images from."""
    known = {*OWN_IMAGES, *installed("datasets")}
    if name.partition(":")[0] not in known:
        raise ValueError(f"{attribute.name!r} must be one of {', '.join(sorted(known))}: {name!r}")


def rehearsal_key(attack: str) -> str:
    """Return a part of a key for ``run.cached``: another code of the attack, another key."""
    return fingerprint(identify(build("attacks", attack)))


def _sorted(confidences: Tensor) -> Floats:
    values: Floats = np.sort(confidences.double().cpu().numpy())
    if not (len(values) and np.isfinite(values).all()):
        raise BadOption(
            f"A threshold is calibrated on benign and on malicious queries; of one of them there "
            f"are {len(values)}, or some confidence is not a finite number. Give a threshold, or "
            "a larger budget to the rehearsed attack."
        )
    return values


def _middle(values: Floats, below: int) -> float:
    """Return the middle between the value ``below`` and the next, never the next itself."""
    low = values[below]
    high = values[min(below + 1, len(values) - 1)]
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)

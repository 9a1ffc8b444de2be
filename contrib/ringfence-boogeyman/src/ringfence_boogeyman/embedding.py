"""Features of images, from a network that is not trained any more.

Either a network of torchvision's with weights of its own, or the victim. Features are the input of
the last layer, which in a ResNet is the average-pooled vector of 512 or 2,048 numbers.
"""

from __future__ import annotations

import torchvision
from attrs import frozen
from torch import Tensor, nn

from ringfence.errors import UnknownName
from ringfence.features import activations
from ringfence.images import adapt
from ringfence.plugins import build
from ringfence.randomness import seeded
from ringfence.run import DefenseRun
from ringfence_boogeyman.blocks import in_blocks
from ringfence_boogeyman.presets import VICTIM
from ringfence_boogeyman.weights import located

SIZE = 224  #: pixels a side, for which ImageNet's weights were made
CLASSES = 1000  #: of ImageNet; the head is not used


@frozen(eq=False)
class Embedding:
    """A frozen network, the image size it takes (``None``: as they come), images at a time."""

    net: nn.Module
    size: int | None
    block: int

    def of_block(self, images: Tensor) -> Tensor:
        """Return features ``(N, D)`` of float images ``(N, C, H, W)``, all at once."""
        if self.size is not None:
            images = adapt(images, (3, self.size, self.size))
        return activations(self.net, images).features

    def __call__(self, images: Tensor) -> Tensor:
        """Return features ``(N, D)`` of uint8 or float images, without gradients."""
        return in_blocks(self.of_block, images, self.block)


def embedding(
    run: DefenseRun,
    victim: nn.Module,
    backbone: str,
    pretrained: str,
    size: int,
    block: int,
) -> Embedding:
    """Return the embedding by ``backbone``: ``victim``, or a name of torchvision's.

    The victim sees images as they come, the others at ``size`` pixels a side.

    Raises :class:`ringfence.errors.RingfenceError` for an unknown name, and for weights that
    are neither at hand nor to be had.
    """
    if backbone == VICTIM:
        return Embedding(victim.eval(), None, block)
    known = torchvision.models.list_models(torchvision.models)
    if backbone not in known:
        raise UnknownName("backbone", backbone, {VICTIM, *known})
    model = build("models", "torchvision", {"name": backbone, "pretrained": located(pretrained)})
    with seeded(run.streams, "backbone"):  # its first weights must not shift others' draws
        net: nn.Module = model.make(CLASSES, (3, size, size))
    return Embedding(net.to(run.device).eval(), size, block)

"""Any classification network of torchvision, as it is there."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torchvision
from attrs import define, field
from torch import nn
from torch.func import functional_call

from ringfence.errors import BadOption, UnknownName
from ringfence.recipe import Recipe
from ringfence.weights import first_line
from ringfence_vision.models.inputs import check, normalised, written
from ringfence_vision.models.pretrained import HELP, load


@define(eq=False)
class SqueezeNet:
    """Iandola et al. 2016, torchvision's version 1.1; small enough to fine-tune on a CPU."""

    recipe: ClassVar[Recipe] = Recipe(epochs=3, batch_size=32, lr=3e-4, schedule="cosine")

    pretrained: str | None = field(default=None, metadata={"help": HELP})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network, fresh or with the weights of ``pretrained``."""
        check("squeezenet", image_shape, smallest=17)
        net = torchvision.models.squeezenet1_1(num_classes=num_classes)
        if self.pretrained:
            load(net, self.pretrained, "squeezenet", "squeezenet1_1")
        return normalised(net, 3)


@define(eq=False)
class TorchvisionModel:
    """Any classification network that torchvision knows by name."""

    recipe: ClassVar[Recipe] = Recipe(
        epochs=50,
        batch_size=64,
        optimizer="sgd",
        lr=0.05,
        weight_decay=1e-4,
        schedule="cosine",
    )

    name: str = field(
        default="mobilenet_v3_small",
        metadata={"help": "as in torchvision.models, such as mobilenet_v3_small"},
    )
    pretrained: str | None = field(default=None, metadata={"help": HELP})

    def make(self, num_classes: int, image_shape: tuple[int, ...]) -> nn.Module:
        """Return a network, fresh or with the weights of ``pretrained``."""
        known = torchvision.models.list_models(torchvision.models)
        if self.name not in known:
            raise UnknownName("model of torchvision", self.name, known)
        check(self.name, image_shape, smallest=1)
        options = _options(self.name, self.pretrained is not None)
        net = torchvision.models.get_model(self.name, num_classes=num_classes, **options)
        _refuse_size(net, self.name, image_shape)
        if self.pretrained:
            load(net, self.pretrained, self.name, self.name)
        return normalised(net, 3)


def _options(name: str, pretrained: bool) -> dict[str, Any]:
    """Return what two of the builders must be told, lest they warn or answer with a tuple."""
    if name not in ("googlenet", "inception_v3"):
        return {}
    return {"aux_logits": False, "init_weights": False, "transform_input": pretrained}


def _refuse_size(net: nn.Module, name: str, image_shape: tuple[int, ...]) -> None:
    """Refuse an image size by a rehearsal without numbers, which costs no memory."""
    tensors = {n: torch.empty_like(t, device="meta") for n, t in net.state_dict().items()}
    images = torch.empty(2, 3, *image_shape[1:], device="meta")
    try:
        functional_call(net, tensors, (images,))
    except Exception as error:  # each architecture has its own way to fail
        raise BadOption(
            f"torchvision's {name!r} cannot take images of shape {written(image_shape)} "
            f"({first_line(error)}). Choose another model or data set; most take 3x224x224."
        ) from error

"""Another prediction server as a model: images out, probabilities in.

It speaks the Open Inference Protocol (version 2, JSON), as Triton, MLServer, TorchServe and
KServe do. The logarithm of a probability is a logit up to a shift that no softmax sees, so
detectors that look at logits work as long as the probabilities are not rounded.
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch
import urllib3
from torch import Tensor, nn

from ringfence.errors import BadOption, RingfenceError

SECONDS = 30.0  #: until an answer is given up
LARGEST = 64 << 20  #: bytes of an answer


class _Output(msgspec.Struct):
    shape: list[int]
    data: list[float]


class _Answer(msgspec.Struct):
    outputs: list[_Output]


class Upstream(nn.Module):
    """A model that asks the server at ``url``, such as http://host:8000/v2/models/NAME/infer."""

    def __init__(self, url: str, num_classes: int) -> None:
        super().__init__()
        if not url.startswith(("http://", "https://")):
            raise BadOption(f"{url!r} is no address of a server. Give one with http://.")
        self.url = url
        self.num_classes = num_classes
        self.pool = urllib3.PoolManager(maxsize=2, retries=urllib3.Retry(2, redirect=0))

    def __deepcopy__(self, memo: Any) -> Upstream:
        """Return itself: there is one server, and a pool of connections cannot be copied."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return logarithms of probabilities ``(N, K)`` for images ``(N, C, H, W)``."""
        if images.requires_grad:
            raise RingfenceError(
                "A defense wants gradients of the model, and a server behind --upstream gives "
                "none. Leave the defense out, or guard the model itself with --model-file."
            )
        probs = self._ask(images.detach().cpu())
        return probs.clamp_min(torch.finfo(torch.float64).tiny).log().to(images.device)

    def _ask(self, images: Tensor) -> Tensor:
        flat = images.float().flatten().tolist()
        told = {"name": "input", "shape": list(images.shape), "datatype": "FP32", "data": flat}
        body = msgspec.json.encode({"inputs": [told]})
        kind = {"Content-Type": "application/json"}
        try:
            reply = self.pool.request("POST", self.url, body=body, headers=kind, timeout=SECONDS)
            found = msgspec.json.decode(reply.data[:LARGEST], type=_Answer).outputs[0]
            probs = torch.tensor(found.data, dtype=torch.float64)
            probs = probs.reshape(len(images), self.num_classes)
        except (
            urllib3.exceptions.HTTPError,
            msgspec.MsgspecError,
            IndexError,
            RuntimeError,
        ) as error:
            raise RingfenceError(
                f"The server behind --upstream gave no {self.num_classes} probabilities an image "
                f"({str(error)[:120]}). Check its address and its model."
            ) from error
        if not ((probs >= 0).all() and (probs.sum(-1) - 1).abs().max() < 1e-3):
            raise RingfenceError(
                "The server behind --upstream does not answer with probabilities. Let it apply "
                "softmax."
            )
        return probs

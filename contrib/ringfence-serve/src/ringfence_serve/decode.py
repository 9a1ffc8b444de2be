"""The images in a request: a file, files in base64, raw pixels in base64, or nested lists.

It comes from strangers: every size is known before anything is unpacked.
"""

from __future__ import annotations

import math
import warnings
from io import BytesIO

import msgspec
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ringfence.images import adapt

Images = NDArray[np.float32]
FILES = {"image/png": "PNG", "image/jpeg": "JPEG"}
LARGEST_SIDE = 4096  #: pixels of a file's image, each way


class BadRequest(Exception):
    """What came is no request; the message is for its sender."""


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request in JSON: exactly one of these."""

    files: list[bytes] | None = None  #: PNG or JPEG, base64
    pixels: list[bytes] | None = None  #: float32, little-endian, channels first, in [0, 1], base64
    arrays: list[list[list[list[float]]]] | None = None  #: N, C, H, W, in [0, 1]


_decoder = msgspec.json.Decoder(Request)


@frozen
class Reader:
    """Turns bodies into images of the model's shape."""

    shape: tuple[int, ...]  #: channels, height, width
    most: int  #: images of one request

    @property
    def largest(self) -> int:
        """Bytes of the largest body that can be a request: 24 characters a number."""
        return 4096 + self.most * max(24 * math.prod(self.shape), 64 << 10)

    def read(self, kind: str, body: bytes) -> Tensor:
        """Return float32 images ``(N, C, H, W)`` in ``[0, 1]``; or raise :class:`BadRequest`."""
        kind = kind.partition(";")[0].strip().lower()
        if kind in FILES:
            images = self._file(body, (FILES[kind],))[None]
        elif kind == "application/json":
            images = self._json(body)
        else:
            raise BadRequest("Send application/json, image/png or image/jpeg.")
        if not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
            raise BadRequest("Numbers must be finite and in [0, 1].")
        return torch.from_numpy(images)

    # NumPy: PyTorch would let go of the interpreter, and wait for it, at every small step.
    def _json(self, body: bytes) -> Images:
        try:
            request = _decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadRequest(f"The JSON cannot be used: {str(error)[:120]}") from error
        given = [
            part for part in (request.files, request.pixels, request.arrays) if part is not None
        ]
        if len(given) != 1:
            raise BadRequest("Give exactly one of files, pixels and arrays.")
        if not 1 <= len(given[0]) <= self.most:
            raise BadRequest(f"Give 1 to {self.most} images, not {len(given[0])}.")
        if request.arrays is not None:
            return self._arrays(request.arrays)
        if request.pixels is not None:
            return self._raw(request.pixels)
        kinds = tuple(FILES.values())
        return np.stack([self._file(raw, kinds) for raw in request.files or ()])

    def _arrays(self, arrays: list[list[list[list[float]]]]) -> Images:
        try:
            with np.errstate(over="ignore"):  # 1e300 becomes infinity, and is refused
                images = np.array(arrays, dtype=np.float32)
        except (ValueError, OverflowError):
            images = np.empty(0, np.float32)
        if images.shape[1:] != self.shape:
            raise BadRequest(f"Arrays must have the shape N, {', '.join(map(str, self.shape))}.")
        return images

    def _raw(self, parts: list[bytes]) -> Images:
        size = 4 * math.prod(self.shape)
        if any(len(part) != size for part in parts):
            raise BadRequest(f"Pixels are {size} bytes an image of float32.")
        return np.frombuffer(b"".join(parts), "<f4").astype(np.float32).reshape(-1, *self.shape)

    def _file(self, raw: bytes, kinds: tuple[str, ...]) -> Images:
        """Return the image in a file, in the model's channels and size."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of Pillow: what looks like a bomb
                with Image.open(BytesIO(raw), formats=kinds) as found:
                    if max(found.size) > LARGEST_SIDE:
                        raise BadRequest(f"An image has more than {LARGEST_SIDE} pixels a side.")
                    grey = found.mode in ("1", "L", "LA", "I;16", "I")
                    numbers = np.asarray(found.convert("L" if grey else "RGB"))
        except BadRequest:
            raise
        except Exception as error:  # parsers of hostile bytes may raise anything
            raise BadRequest("An image cannot be read as PNG or JPEG.") from error
        image = torch.from_numpy(numbers.copy())
        channels = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
        adapted: Images = adapt(channels[None].float() / 255, self.shape)[0].clamp(0, 1).numpy()
        return adapted

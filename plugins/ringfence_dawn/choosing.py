"""Which queries are answered wrongly, and with which class: an HMAC decides, and nothing else.

The first 128 bits decide whether (equation W of the paper), the other 128 bits, as the key of a
permutation of the classes, with what (equation B).
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

HALF = 16  #: bytes of the digest that decide whether; the rest decides with what


def digests(key: bytes, messages: Iterable[bytes]) -> list[bytes]:
    """Return the HMAC-SHA256 of each message."""
    return [hmac.digest(key, message, "sha256") for message in messages]


def threshold(rate: float) -> int:
    """Return the number that a digest's first half must be below, exactly ``rate`` of all."""
    return math.ceil(Fraction(rate) * (1 << 8 * HALF))


def chosen(digest: bytes, below: int) -> bool:
    """Return whether a query with this digest is answered wrongly."""
    return int.from_bytes(digest[:HALF], "big") < below


def permutation(digest: bytes, top: int, classes: int) -> list[int]:
    """Return where each of two or more ``classes`` goes; ``top`` does not stay where it is.

    All permutations that move ``top`` are equally likely, and so are all wrong classes.
    """
    seed = digest[HALF:]
    while True:
        words = np.frombuffer(hashlib.shake_256(seed).digest(8 * classes), ">u8")
        order: list[int] = words.argsort(kind="stable").tolist()
        if order[top] != top:
            return order
        seed = hashlib.sha256(seed).digest()

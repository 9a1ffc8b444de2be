"""The eight detectors of Atli et al., Table 3.

Names: ``rn`` and the number of layers; ``x`` for the paper's star, which is that the victim's
classes that the outliers also show are left out of learning; ``cv`` for the frozen network with a
logistic regression.
"""

from __future__ import annotations

from attrs import frozen

VICTIM = "victim"  #: the backbone that is always at hand: the guarded model itself


@frozen
class Form:
    """What a one-and-a-half classifier is made of."""

    backbone: str = VICTIM
    scratch: bool = False  #: trained from scratch, else frozen below a logistic regression
    overlap: bool = True  #: whether the victim's overlapping classes stay in


PRESETS = {
    "rn18": Form("resnet18", scratch=True),
    "rn34": Form("resnet34", scratch=True),
    "rn18x": Form("resnet18", scratch=True, overlap=False),
    "rn34x": Form("resnet34", scratch=True, overlap=False),
    "rn18xcv": Form("resnet18", overlap=False),
    "rn34xcv": Form("resnet34", overlap=False),
    "rn101xcv": Form("resnet101", overlap=False),
    "rn152xcv": Form("resnet152", overlap=False),
}

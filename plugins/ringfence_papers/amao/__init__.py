"""AMAO's tables. Figures are the paper's, sweeps are ours."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from attrs import define


@define(eq=False)
class Amao:
    """Jiang et al., "A Comprehensive Defense Framework Against Model Extraction Attacks"."""

    paper: ClassVar[str] = (
        "Wenbo Jiang et al., A Comprehensive Defense Framework Against Model Extraction Attacks, "
        "IEEE TDSC 21(2), 2024"
    )
    folder: ClassVar[Path] = Path(__file__).parent

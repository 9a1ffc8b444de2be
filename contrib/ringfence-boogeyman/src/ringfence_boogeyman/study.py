"""The study of Atli et al.: its tables and figures, and the sweeps behind them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from attrs import define


@define(eq=False)
class Boogeyman:
    """Atli et al., "Extraction of Complex DNN Models: Real Threat or Boogeyman?"."""

    paper: ClassVar[str] = (
        "Buse Gul Atli et al., Extraction of Complex DNN Models: Real Threat or Boogeyman?, 2020"
    )
    folder: ClassVar[Path] = Path(__file__).parent / "specs"

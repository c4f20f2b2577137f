"""What `fast`, `balanced` and `best` mean for each method."""

from __future__ import annotations

from typing import Literal

__all__ = ["FILTER_ITERATIONS", "Quality"]

Quality = Literal["fast", "balanced", "best"]

#: Training steps of Filter2Noise on every slice.
FILTER_ITERATIONS: dict[str, int] = {"fast": 150, "balanced": 300, "best": 500}

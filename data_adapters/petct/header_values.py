"""Numbers and private elements of a DICOM header, None where they are missing or unusable."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

__all__ = ["number", "private_number", "private_text"]


def number(value: object) -> float | None:
    """A finite number."""
    try:
        out = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return out if math.isfinite(out) else None


def private_number(header: Dataset, group: int, element: int, creator: str) -> float | None:
    """A number above 0."""
    value = number(private_text(header, group, element, creator))
    return value if value and value > 0 else None


def private_text(header: Dataset, group: int, element: int, creator: str) -> Any:
    """The value of a private element as it is stored."""
    try:
        value = header.private_block(group, creator)[element].value
    except KeyError:
        return None
    # Of an implicit VR, unknown to the dictionary, the bytes come as they are.
    return value.decode("ascii", "ignore") if isinstance(value, bytes) else value

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
    """The value of a private element as it is stored.

    Where the group names no creator at all, as after some exports, the first block is taken to be
    the creator's.
    """
    try:
        value = header.private_block(group, creator)[element].value
    except KeyError:
        if any((group, block) in header for block in range(0x10, 0x100)):
            return None
        element_value = header.get((group, 0x1000 + element))
        if element_value is None:
            return None
        value = element_value.value
    # Of an implicit VR, unknown to the dictionary, the bytes come as they are.
    return value.decode("ascii", "ignore") if isinstance(value, bytes) else value

"""Quality levels: what every domain has under the same names, and means by them what it likes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from sciddm.errors import InputError

__all__ = ["Quality", "of_quality"]

Quality = Literal["fast", "balanced", "best"]
S = TypeVar("S")


def of_quality(levels: Mapping[Any, S], quality: str) -> S:
    """What a level means.

    Raises:
        InputError: no such level.
    """
    if quality not in levels:
        raise InputError(f"unknown quality {quality!r}: take one of {', '.join(levels)}")
    return levels[quality]

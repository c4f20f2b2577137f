"""A format of files that hold one image each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageFormat", "in_frames"]


@dataclass(frozen=True)
class ImageFormat:
    """How an image (slice, y, x) is written and read.

    Attributes:
        write: called with the image, its file, and the attributes of the result.
        read: gives the image and its attributes; called with the file, and whether it may hold
            several frames.
        headers: suffixes of further files of each image.
    """

    write: Callable[[NDArray[Any], Path, Mapping[Any, Any]], None]
    read: Callable[[Path, bool], tuple[NDArray[Any], Mapping[str, Any]]]
    headers: tuple[str, ...] = ()


def in_frames(values: NDArray[Any], attrs: Mapping[Any, Any]) -> NDArray[Any]:
    """(frame, slice, y, x) of an image that has several frames one after the other."""
    each = int(attrs.get("slices_per_frame", len(values)))
    whole: NDArray[Any] = np.asarray(values)
    return whole if each == len(whole) else whole.reshape(-1, each, *whole.shape[1:])

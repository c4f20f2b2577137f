"""A recording as a sequence of blocks, so that its length does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["ArrayRecording", "Recording"]

Samples = NDArray[np.float32]


class Recording(Protocol):
    """Sound of `channels` channels at `rate` Hz that can be read more than once.

    Attributes:
        name: for messages.
        rate: samples per second.
        channels: their number.
        frames: samples per channel.
    """

    name: str
    rate: int
    channels: int
    frames: int

    def blocks(self, size: int) -> Iterator[Samples]:
        """All samples from the start: (channel, up to `size`) float32, full scale at 1."""
        ...


class ArrayRecording:
    """A recording in memory.

    Args:
        data: (channel, time) or (time,), real, with the attribute `rate` in Hz; of a data set the
            variable `audio`, or its only one.

    Raises:
        InputError: no rate, other dimensions, no samples, or samples that are no numbers.
    """

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        if isinstance(data, xr.Dataset):
            data = _only(data)
        attrs: dict[Any, Any] = data.attrs
        self.name = str(attrs.get("source", "the recording"))
        rate = attrs.get("rate")
        if rate is None or not float(rate) >= 1 or float(rate) != int(rate):
            raise InputError(
                f"{self.name}: the attribute rate (samples per second, an integer) is {rate}: "
                "set it"
            )
        if set(data.dims) - {"channel"} != {"time"}:
            raise InputError(
                f"{self.name}: the dimensions are {data.dims}: name them channel and time"
            )
        if "channel" not in data.dims:
            data = data.expand_dims("channel")
        if data.size == 0:
            raise InputError(f"{self.name}: holds no samples: record it again")
        if data.dtype.kind != "f":
            raise InputError(
                f"{self.name}: samples are {data.dtype}: give floating point, full scale at 1"
            )
        self.array = data.transpose("channel", "time")
        self.rate = int(rate)
        self.channels, self.frames = self.array.shape

    def blocks(self, size: int) -> Iterator[Samples]:
        """See `Recording`."""
        for start in range(0, self.frames, size):
            block = self.array.isel(time=slice(start, start + size)).values.astype(np.float32)
            check_samples(self.name, block)
            yield block


def check_samples(name: str, block: Samples) -> None:
    """Refuses NaN and infinity.

    Raises:
        InputError: there are some.
    """
    bad = int(block.size - np.isfinite(block).sum())
    if bad:
        raise InputError(
            f"{name}: holds {bad} samples that are NaN or infinite: replace or cut them"
        )


def _only(data: xr.Dataset) -> xr.DataArray:
    names = list(data.data_vars)
    if "audio" not in names and len(names) != 1:
        raise InputError(
            f"the data set holds {', '.join(map(str, names)) or 'nothing'}: name the recording "
            "audio"
        )
    found = data["audio" if "audio" in names else names[0]]
    return found.assign_attrs({**data.attrs, **found.attrs})

"""The blocks of an enhancement as one result, on the disk where they do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sciddm.pipelines.speech.pipeline import Enhancement
from sciddm.storage.scratch_array import release, scratch_array

__all__ = ["collected"]

_IN_MEMORY = 2**25  # bytes of one variable
_TIMES = 2**24  # samples


def collected(run: Enhancement, scratch: Callable[[], Path]) -> xr.Dataset:
    """The result of a run: enhanced, noisy and, where asked for, std, (channel, time).

    Recordings of minutes have the coordinate time in seconds; longer ones have the rate alone.

    Args:
        run: that was not iterated over yet.
        scratch: gives a folder for files that live as long as the result.
    """
    recording = run.recording
    shape = (recording.channels, recording.frames)
    names = ("enhanced", "noisy", *(("std",) if run.std else ()))
    arrays = {name: _array(name, shape, scratch) for name in names}
    position = 0
    for block in run:
        end = position + block.noisy.shape[1]
        for name, array in arrays.items():
            array[:, position:end] = getattr(block, name)
            release(array)
        position = end
    dataset = xr.Dataset(
        {name: (("channel", "time"), array) for name, array in arrays.items()}, attrs=run.attrs
    )
    # An hour at 48 kHz has 1.4 GB of times, which the rate says as well.
    if recording.frames <= _TIMES:
        time = np.arange(recording.frames) / recording.rate
        dataset = dataset.assign_coords(time=("time", time, {"units": "s"}))
    for name in names:
        dataset[name].attrs["units"] = "full scale"
    return dataset


def _array(name: str, shape: tuple[int, int], scratch: Callable[[], Path]) -> NDArray[np.float32]:
    if 4 * shape[0] * shape[1] <= _IN_MEMORY:
        return np.empty(shape, np.float32)
    # Frame by frame, as blocks are written and read.
    return scratch_array(scratch() / f"{name}.f32", shape[::-1], np.float32).T

"""`sciddm speech evaluate`: enhanced recordings against clean ones, pair by pair."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.audio import resample
from sciddm.errors import InputError
from sciddm.metrics.speech import LevelMeter, estoi, pesq, si_sdr
from sciddm.pipelines.engine.scores import Score

__all__ = ["compare"]

_MEASURED_AT = 16_000


def compare(x: xr.DataArray, e: xr.DataArray, score: Score) -> None:
    """Fills in the scores of one pair: si_sdr_db, pesq, estoi (means over the channels) and
    level_difference_db.

    Args:
        x: clean, (channel, time) with the attribute ``rate`` in Hz.
        e: enhanced, likewise.
        score: to fill in.

    Raises:
        InputError: they differ in rate, channels or length.
    """
    for what, ours, theirs in (
        ("rate", x.attrs["rate"], e.attrs["rate"]),
        ("number of channels", x.sizes["channel"], e.sizes["channel"]),
        ("number of samples", x.sizes["time"], e.sizes["time"]),
    ):
        if ours != theirs:
            raise InputError(
                f"{_name(e)}: its {what} is {theirs}, that of {_name(x)} is {ours}: compare "
                "recordings of one length and rate"
            )
    rate = int(x.attrs["rate"])
    meter = LevelMeter(rate)
    meter.push(*(w.values - w.values.mean(1, keepdims=True) for w in (x, e)))
    score.values["level_difference_db"] = meter.change_db()
    _measure(score, "si_sdr_db", si_sdr, e.values, x.values)
    at = 8000 if rate == 8000 else _MEASURED_AT
    converted = [resample(torch.from_numpy(w.values), rate, at).numpy() for w in (e, x)]
    for name, metric in (("pesq", pesq), ("estoi", estoi)):
        if importlib.util.find_spec({"estoi": "pystoi"}.get(name, name)) is None:
            score.missing[name] = f"no {name.upper()}: pip install 'sciddm[speech-metrics]'"
        else:
            _measure(score, name, partial(metric, rate=at), *converted)


def _name(recording: xr.DataArray) -> str:
    return str(recording.attrs.get("source", "the recording"))


def _measure(
    score: Score,
    name: str,
    metric: Callable[[NDArray[Any], NDArray[Any]], float],
    enhanced: NDArray[np.float32],
    clean: NDArray[np.float32],
) -> None:
    try:
        values = [metric(e, x) for e, x in zip(enhanced, clean, strict=True)]
        score.values[name] = float(np.mean(values))
    except InputError as error:
        score.missing[name] = str(error)

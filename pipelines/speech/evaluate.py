"""`sciddm speech evaluate`: enhanced recordings against clean ones, pair by pair."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sciddm.data_adapters.audio import open_audio, resample
from sciddm.errors import InputError
from sciddm.metrics.speech import LevelMeter, estoi, pesq, si_sdr
from sciddm.pipelines.engine.batch import stem
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.scores import Score, evaluate_pairs, pairs

__all__ = ["compare", "evaluate_folders"]

_MEASURED_AT = 16_000
_COLUMNS = {
    "si_sdr_db": ("SI-SDR / dB", "{:.2f}"),
    "pesq": ("PESQ", "{:.2f}"),
    "estoi": ("ESTOI", "{:.3f}"),
    "level_difference_db": ("level / dB", "{:+.1f}"),
}


def evaluate_folders(clean: Path, enhanced: Path, suffixes: Sequence[str], as_json: bool) -> bool:
    """Prints the scores of all pairs of the same name.

    Args:
        clean: folder, or one file.
        enhanced: folder, or one file.
        suffixes: of recordings; names are compared without them.
        as_json: a JSON document instead of a table.

    Returns:
        Whether every clean recording could be compared.

    Raises:
        InputError: no clean recording.
    """

    absent = [
        label
        for package, label in (("pesq", "PESQ"), ("pystoi", "ESTOI"))
        if importlib.util.find_spec(package) is None
    ]
    if absent:
        say("note", f"without {' and '.join(absent)}: pip install 'sciddm[speech-metrics]'")

    def found_in(path: Path) -> tuple[Mapping[str, Path], bool]:
        if not path.is_dir():
            return {stem(path, suffixes): path}, False
        found = sorted(p for p in path.iterdir() if p.name.lower().endswith(tuple(suffixes)))
        return {stem(p, suffixes): p for p in found if not p.name.startswith(".")}, True

    return evaluate_pairs(
        pairs(clean, enhanced, found_in, "recording"),
        compare,
        _COLUMNS,
        kind="recording",
        where=enhanced,
        as_json=as_json,
    )


def compare(clean: Path, enhanced: Path, score: Score) -> None:
    """Fills in the scores of one pair: si_sdr_db, pesq, estoi (means over the channels) and
    level_difference_db.

    Raises:
        InputError: a file cannot be read, or they differ in rate, channels or length.
    """
    x, e = open_audio(clean), open_audio(enhanced)
    for what, ours, theirs in (
        ("rate", x.attrs["rate"], e.attrs["rate"]),
        ("number of channels", x.sizes["channel"], e.sizes["channel"]),
        ("number of samples", x.sizes["time"], e.sizes["time"]),
    ):
        if ours != theirs:
            raise InputError(
                f"{enhanced}: its {what} is {theirs}, that of {clean.name} is {ours}: compare "
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
        if importlib.util.find_spec({"estoi": "pystoi"}.get(name, name)) is not None:
            _measure(score, name, partial(metric, rate=at), *converted)


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

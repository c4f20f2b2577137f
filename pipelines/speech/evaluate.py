"""`sciddm speech evaluate`: enhanced recordings against clean ones, pair by pair."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sciddm import __version__
from sciddm.data_adapters.audio import open_audio, resample
from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.batch import one_line, stem
from sciddm.pipelines.console import output, say
from sciddm.pipelines.speech.metrics import LevelMeter, estoi, pesq, si_sdr
from sciddm.pipelines.summary import jsonable

__all__ = ["Score", "compare", "evaluate_folders"]

_MEASURED_AT = 16_000


@dataclass
class Score:
    """What one pair of recordings gave.

    Attributes:
        name: of the pair.
        values: by metric: si_sdr_db, pesq, estoi (means over the channels), level_difference_db.
        missing: by metric, why it could not be computed.
        error: why the pair could not be compared at all.
    """

    name: str
    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    error: str = ""


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
    scores = []
    for name, left, right in _pairs(clean, enhanced, suffixes):
        score = Score(name)
        try:
            if right is None:
                raise InputError(f"{enhanced}: holds no recording named {name}")
            compare(left, right, score)
        except SciddmError as error:
            score.error = one_line(error)
            say("error", score.error)
        scores.append(score)
    for metric in dict.fromkeys(m for s in scores for m in s.missing):
        reasons = dict.fromkeys(s.missing[metric] for s in scores if metric in s.missing)
        for reason in reasons:
            names = [s.name for s in scores if s.missing.get(metric) == reason]
            count = f"{len(names)} recordings" if len(names) > 1 else names[0]
            say("warning", f"{count}: {reason}")
    _tell(scores, as_json)
    return not any(s.error for s in scores)


def compare(clean: Path, enhanced: Path, score: Score) -> None:
    """Fills in the scores of one pair.

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
            _measure(score, name, lambda e, x, m=metric: m(e, x, at), *converted)


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


def _pairs(
    clean: Path, enhanced: Path, suffixes: Sequence[str]
) -> list[tuple[str, Path, Path | None]]:
    if not clean.is_dir():
        name = stem(clean, suffixes)
        if not enhanced.is_dir():
            return [(name, clean, enhanced)]
        return [(name, clean, _recordings(enhanced, suffixes).get(name))]
    ours = _recordings(clean, suffixes)
    if not ours:
        raise InputError(f"{clean}: the folder holds no recording ({', '.join(suffixes)})")
    if not enhanced.is_dir():
        raise InputError(f"{enhanced}: is not a folder, as {clean} is: give a folder")
    theirs = _recordings(enhanced, suffixes)
    return [(name, path, theirs.get(name)) for name, path in ours.items()]


def _recordings(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    found = sorted(p for p in folder.iterdir() if p.name.lower().endswith(tuple(suffixes)))
    return {stem(p, suffixes): p for p in found if not p.name.startswith(".")}


_COLUMNS = {
    "si_sdr_db": ("SI-SDR / dB", "{:.2f}"),
    "pesq": ("PESQ", "{:.2f}"),
    "estoi": ("ESTOI", "{:.3f}"),
    "level_difference_db": ("level / dB", "{:+.1f}"),
}


def _tell(scores: Sequence[Score], as_json: bool) -> None:
    metrics = [m for m in _COLUMNS if any(m in s.values for s in scores)]
    mean = {m: _mean([s.values[m] for s in scores if m in s.values]) for m in metrics}
    if as_json:
        results = [
            {"name": s.name, **s.values, "missing": s.missing, "error": s.error or None}
            for s in scores
        ]
        content = {"sciddm_version": __version__, "mean": mean, "results": results}
        print(json.dumps(jsonable(content), indent=2))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("recording", overflow="fold")
    for metric in metrics:
        table.add_column(_COLUMNS[metric][0], justify="right")
    for s in scores:
        cells = [_COLUMNS[m][1].format(s.values[m]) if m in s.values else "" for m in metrics]
        table.add_row(s.name, *cells)
    if len(scores) > 1:
        table.add_row("mean", *(_COLUMNS[m][1].format(mean[m]) for m in metrics), style="bold")
    output().print(table)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan

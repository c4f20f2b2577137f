"""The page of an enhancement: before and after, to see and to hear."""

from __future__ import annotations

import io
from typing import Any, Self

import numpy as np
import soundfile
import xarray as xr
from numpy.typing import NDArray

from sciddm.pipelines.engine.report.charts import Chart, Curve
from sciddm.pipelines.engine.report.page import Axis, Panel, Player, Report, Section, Table, Verdict
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.speech.describe import facts
from sciddm.pipelines.speech.enhance import Block
from sciddm.pipelines.speech.statements import statements

__all__ = ["Excerpt", "speech_page"]

_SECONDS = 20.0
_RUN_KEYS = ("model", "weights_sha256", "quality", "sampler", "steps", "samples", "nfe", "seed")
_LABELS = {"weights_sha256": "weights' SHA-256", "nfe": "NFE per part"}
_RANGE_DB = 70.0
_FRAME_S, _POINTS, _QUIET = 0.02, 500, 1e-8  # of the chart of levels, down to -80 dB


class Excerpt:
    """The part of a result that the page shows and plays: 20 s from its middle, or all of it."""

    def __init__(self, rate: int, frames: int) -> None:
        self.rate = rate
        length = min(frames, round(_SECONDS * rate))
        self.start = (frames - length) // 2
        self._stop = self.start + length
        self._position = 0
        self._parts: dict[str, list[NDArray[np.float32]]] = {}

    @classmethod
    def of(cls, result: xr.Dataset) -> Self:
        """The excerpt of a result."""
        excerpt = cls(int(result.attrs["rate"]), result.sizes["time"])
        # What lies outside is not read: an hour lies on the disk.
        part = result.isel(time=slice(excerpt.start, excerpt._stop))
        excerpt._position = excerpt.start
        std = part["std"].values if "std" in part else None
        excerpt.push(Block(part["noisy"].values, part["enhanced"].values, std))
        return excerpt

    def push(self, block: Block) -> None:
        """Takes the next block of the result."""
        n = block.noisy.shape[1]
        part = slice(max(0, self.start - self._position), max(0, self._stop - self._position))
        for name in ("noisy", "enhanced", "std"):
            values = getattr(block, name)
            if values is not None:
                self._parts.setdefault(name, []).append(values[:, part].copy())
        self._position += n

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """noisy, enhanced or std, (channel, n)."""
        return np.concatenate(self._parts[name], axis=1)

    def __contains__(self, name: str) -> bool:
        return name in self._parts


def speech_page(data: object, result: xr.Dataset) -> Report:
    """The page for one recording; all that it shows is in the result."""
    attrs, channels = result.attrs, result.sizes["channel"]
    source = str(attrs["input"])
    excerpt = Excerpt.of(result)
    known = {fact.key: fact for fact in facts(result)}
    about = ("duration_s", "rate_hz", "channels")
    subtitle = f"{source}: " + ", ".join(
        known[key].text + (" channel" + "s" * (channels > 1) if key == "channels" else "")
        for key in about
    )
    run = [[_LABELS.get(k, k), str(attrs[k])] for k in _RUN_KEYS if attrs.get(k) not in (None, "")]
    everything = [[str(k), str(jsonable(v))[:400]] for k, v in sorted(attrs.items())]
    remarks = warnings_of(attrs)
    verdict = Verdict(
        "doubtful" if remarks else "good",
        "Read these remarks before using the recording."
        if remarks
        else f"Level and length are kept ({known['level_change_db'].text} where it is loudest).",
        remarks or ["A model can change what was said: listen before relying on single words."],
    )
    return Report(
        title="Speech enhancement",
        subtitle=subtitle,
        verdict=verdict,
        sections=[_section(excerpt, channels, float(attrs["duration_s"]))],
        tables=[
            Table("Recording", [[f.label, f.text] for f in known.values() if f.key != "nfe"]),
            Table("Run", run),
            Table("All attributes of the result", everything, folded=True),
        ],
        methods=list(statements(attrs)),
        command=str(attrs["command"]),
        caution="Enhanced speech is an estimate; single words may differ from what was said.",
    )


def _section(excerpt: Excerpt, channels: int, duration: float) -> Section:
    rate = excerpt.rate
    noisy, enhanced = excerpt["noisy"], excerpt["enhanced"]
    top = float(np.abs(noisy).max()) or 1.0
    start, length = excerpt.start / rate, noisy.shape[1] / rate
    scales = Axis("frequency / kHz", 0.0, rate / 2000), Axis("time / s", start, start + length)
    shown = [
        ("Noisy", noisy[0], "As recorded."),
        ("Enhanced", enhanced[0], "What the model leaves."),
        ("Taken away", noisy[0] - enhanced[0], "The difference; speech in it was lost."),
    ]
    panels: list[Panel | Chart] = [
        Panel(
            title,
            _spectrogram(wave / top, rate),
            (-_RANGE_DB, 0.0),
            "dB, 0 at the largest sample",
            "heat",
            scales=scales,
            note=note,
        )
        for title, wave, note in shown
    ]
    if "std" in excerpt:
        panels.append(_error_chart(enhanced[0] / top, excerpt["std"][0] / top, rate, start))
    players = [
        Player(title, _flac(wave / max(top, 1.0), rate), "audio/flac")
        for title, wave in (
            ("Noisy", noisy),
            ("Enhanced", enhanced),
            ("Taken away", noisy - enhanced),
        )
    ]
    part = "" if length >= duration - 1e-6 else f"{length:.0f} s from the middle. "
    which = "The spectrograms show the first channel. " if channels > 1 else ""
    return Section(
        "Before and after", panels, text=f"{part}{which}One scale for all.", players=players
    )


def _error_chart(enhanced: NDArray[Any], std: NDArray[Any], rate: int, start: float) -> Chart:
    """Levels of the result and of its standard deviation over time."""
    size = max(round(_FRAME_S * rate), len(std) // _POINTS, 1)
    count = max(len(std) // size, 1)
    time = start + (np.arange(count) + 0.5) * size / rate

    def level(wave: NDArray[Any]) -> NDArray[np.float64]:
        frames = wave[: count * size].astype(np.float64).reshape(count, -1)
        out: NDArray[np.float64] = 10 * np.log10((frames**2).mean(1) + _QUIET)
        return out

    curves = [
        Curve("enhanced", time, level(enhanced)),
        Curve("standard deviation", time, level(std)),
    ]
    note = "Of the error to expect, sample by sample, as levels."
    return Chart("Standard deviation", curves, "time / s", "dB, 0 at the largest sample", note)


def _spectrogram(wave: NDArray[Any], rate: int) -> NDArray[np.float32]:
    """Power in dB (frequency from high to low, time), 0 dB at the loudest sine of amplitude 1."""
    size = 2 ** round(np.log2(0.032 * rate))
    hop = max(1, size // 4, len(wave) // 1200)  # no more columns than a screen has
    padded = np.pad(wave, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = np.hanning(size + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    out: NDArray[np.float32] = (10 * np.log10(power.T[::-1] + 1e-12)).astype(np.float32)
    return out


def _flac(wave: NDArray[np.float32], rate: int) -> bytes:
    buffer = io.BytesIO()
    limit = 1 - 2.0**-15
    samples = np.clip(wave[:2].T, -1, limit)  # browsers play two channels
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()

"""Between the frames of a file and what the models see: companded values at full scale 1.

RF is resampled to 4 samples per period of the carrier. IQ is moved up to the carrier and taken as
its RF: with phase p(t) = 2 pi fc t,

    RF = Re(IQ e^{jp}),     IQ of what is taken away = (its analytic signal) e^{-jp}

A scan whose spectrum lies elsewhere than its carrier says (demodulated at another frequency, or a
band that tissue has worn down) is taken at the middle of its own spectrum, and that is told: to the
models low frequencies are haze.

What comes back is not the models' tissue but the frame less what the models took away, resampled
to the frame's own rate: parts of the signal that the models never see pass through unchanged.
Envelopes add in power, so there a smooth gain comes back: the models' tissue over the whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import ndimage, signal

from sciddm.errors import InputError
from sciddm.physics.ultrasound.waves import SAMPLES_PER_PERIOD, envelope

__all__ = [
    "SHOWN_DB",
    "LogImages",
    "Representation",
    "amplitude",
    "log_compressed",
    "represent",
]

Real = NDArray[np.float32]

#: Dynamic range that B-mode images are taken for where none is stated, dB.
SHOWN_DB = 60.0
_PAD = 32  # samples beyond both ends, mirrored, since Fourier resampling takes frames as periodic
_ABOUT = (0.8, 1.1)  # times the carrier: where spectra of tissue and haze usually lie
_LEAST = 1e-4  # of full scale: amplitudes below it are nothing
_GRAIN = 2.0  # pixels: standard deviation of the mean that a gain is smoothed by
_TOP = 99.9  # percentile of the amplitude that counts as full scale


class Representation(ABC):
    """One kind of frames.

    Attributes:
        scale: amplitude of the file that counts as 1.
        remarks: what a user should know about how the frames were taken.
    """

    scale: float = 1.0
    remarks: tuple[str, ...] = ()

    @abstractmethod
    def to_model(self, frame: NDArray[Any]) -> Real:
        """A frame of the file (depth, lateral) as the models see it (z, x), not yet companded."""

    @abstractmethod
    def result(self, frame: NDArray[Any], seen: Real, tissue: Real) -> NDArray[Any]:
        """The frame without haze, in the file's own form.

        Args:
            frame: as it was.
            seen: (z, x), what `to_model` made of it.
            tissue: (z, x), what the models made of that.
        """

    @abstractmethod
    def spread(self, std: Real, tissue: NDArray[Any]) -> Real:
        """Standard deviation (depth, lateral) in units of `result`.

        Args:
            std: (z, x), of the amplitude that the models give, full scale 1.
            tissue: from `result`.
        """

    def seen_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where the models see an image: (z, x)."""
        return mask


class RadioFrequency(Representation):
    """Echoes: real ones, or IQ about a carrier.

    Args:
        samples: along depth.
        fs: their frequency.
        fc: carrier.
        baseband: IQ.
        centre: of the spectrum, what the models take for the carrier; fc if None.
    """

    def __init__(
        self, samples: int, fs: float, fc: float, baseband: bool, centre: float | None = None
    ) -> None:
        self.samples, self.baseband = samples, baseband
        self.padded = samples + 2 * _PAD
        self.fine = max(16, round(self.padded * SAMPLES_PER_PERIOD * (centre or fc) / fs))
        rate = fs * self.fine / self.padded
        self.phase = np.exp(2j * np.pi * fc / rate * np.arange(self.fine)).astype(np.complex64)

    def to_model(self, frame: NDArray[Any]) -> Real:
        padded = np.pad(frame, [(_PAD, _PAD), (0, 0)], mode="reflect" if self._long else "edge")
        fine = np.asarray(signal.resample(padded, self.fine, axis=0))
        rf = (fine * self.phase[:, None]).real if self.baseband else fine
        out: Real = (rf / self.scale).astype(np.float32)
        return out

    def result(self, frame: NDArray[Any], seen: Real, tissue: Real) -> NDArray[Any]:
        taken: NDArray[Any] = self.scale * (seen - tissue)
        if self.baseband:
            taken = np.asarray(signal.hilbert(taken, axis=0)) * self.phase.conj()[:, None]
        back = np.asarray(signal.resample(taken, self.padded, axis=0))[_PAD:-_PAD]
        out: NDArray[Any] = (frame - back).astype(frame.dtype)
        return out

    def spread(self, std: Real, tissue: NDArray[Any]) -> Real:
        return (self.scale * self._coarse(std, 1)).astype(np.float32)

    def seen_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        place = np.arange(self.fine) * self.padded / self.fine - _PAD
        rows = np.clip(np.round(place), 0, self.samples - 1).astype(int)
        inside = (place > -0.5) & (place < self.samples - 0.5)
        return np.asarray(mask[rows] & inside[:, None], bool)

    @property
    def _long(self) -> bool:
        return self.samples > _PAD

    def _coarse(self, values: Real, order: int) -> NDArray[Any]:
        rows = (np.arange(self.samples) + _PAD) * self.fine / self.padded
        grid = np.meshgrid(rows, np.arange(values.shape[1]), indexing="ij")
        return np.asarray(ndimage.map_coordinates(values, grid, order=order, mode="nearest"))


class Envelopes(Representation):
    """Amplitudes.

    What comes back is the frame times a smooth gain,

        A' = A exp(G(min(ln(X / Y), 0))),

    with Y what the models see, X their tissue and G a Gaussian mean over about a speckle. Haze is
    smooth and a picture holds no phase, so single grains of speckle cannot be told apart: they stay
    as they were. Nor is a fine grid needed: the models see at most ``side`` pixels a side.

    Args:
        shape: (depth, lateral) of the frames.
        side: pixels a side that the models see, at most; None for all.
    """

    def __init__(self, shape: tuple[int, int], side: int | None = None) -> None:
        self.shape = shape
        ratio = 1.0 if side is None else max(1.0, max(shape) / side)
        self.seen_shape = tuple(max(8, round(n / ratio)) if ratio > 1 else n for n in shape)

    def to_model(self, frame: NDArray[Any]) -> Real:
        amplitude = np.asarray(frame / self.scale, np.float32)
        return self._coarse(amplitude)

    def result(self, frame: NDArray[Any], seen: Real, tissue: Real) -> NDArray[Any]:
        return (np.asarray(frame) * self.gain(seen, tissue)).astype(frame.dtype)

    def gain(self, seen: Real, tissue: Real) -> Real:
        """What amplitudes (depth, lateral) are multiplied by, 0 to 1."""
        ratio = np.maximum(tissue, _LEAST) / np.maximum(seen, _LEAST)
        log = np.minimum(np.log(ratio), 0) * (seen > 0)
        weight = (seen > 0).astype(np.float32)
        coarse = [n / m for n, m in zip(self.shape, self.seen_shape, strict=True)]
        width = [max(_GRAIN / c, 0.6) for c in coarse]
        share = np.maximum(ndimage.gaussian_filter(weight, width), 1e-3)
        mean = np.asarray(ndimage.gaussian_filter(log, width) / share, np.float32)
        return np.exp(np.minimum(self._fine(mean), 0)).astype(np.float32)

    def spread(self, std: Real, tissue: NDArray[Any]) -> Real:
        return (self.scale * self._fine(std)).astype(np.float32)

    def seen_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.asarray(self._coarse(mask.astype(np.float32)) > 0.5)

    def _coarse(self, image: Real) -> Real:
        """Means over the pixels of the coarser grid."""
        if self.seen_shape == self.shape:
            return image
        widths = [
            0.35 * max(n / m - 1, 0) for n, m in zip(self.shape, self.seen_shape, strict=True)
        ]
        smooth = np.asarray(ndimage.gaussian_filter(image, widths), np.float32)
        return _at(smooth, self.shape, self.seen_shape)

    def _fine(self, image: Real) -> Real:
        if self.seen_shape == self.shape:
            return image
        return _at(image, self.seen_shape, self.shape)


class LogImages(Envelopes):
    """B-mode, 0 to 1: v = 1 + 20 log10(A) / range, and 0 where A is less than the range holds.

    A gain moves grey values, v' = v + 20 log10(gain) / range.

    Args:
        range_db: from 0 to 1.
        shape, side: as of `Envelopes`.
    """

    def __init__(self, range_db: float, shape: tuple[int, int], side: int | None = None) -> None:
        super().__init__(shape, side)
        self.range_db = range_db

    def to_model(self, frame: NDArray[Any]) -> Real:
        return super().to_model(_unlogged(frame, self.range_db))

    def result(self, frame: NDArray[Any], seen: Real, tissue: Real) -> NDArray[Any]:
        moved = 20 / self.range_db * np.log10(self.gain(seen, tissue))
        return np.where(frame > 0, np.clip(frame + moved, 0, 1), 0).astype(frame.dtype)

    def spread(self, std: Real, tissue: NDArray[Any]) -> Real:
        """To first order: dv = 20 / (ln 10 range) dA / A; at most 1, all of the scale."""
        amplitude = np.maximum(_unlogged(tissue, self.range_db), 10 ** (-self.range_db / 20))
        slope = 20 / (np.log(10) * self.range_db)
        fine = self.scale * self._fine(std)
        out: Real = np.clip(slope * fine / amplitude, 0, 1).astype(np.float32)
        return out


def represent(
    data: xr.Dataset, range_db: float | None = None, side: int | None = None
) -> Representation:
    """The representation that fits the data, its full scale taken from all frames.

    Args:
        data: in the form of `data_adapters.ultrasound.frames`.
        range_db: dynamic range of B-mode images where another is known.
        side: pixels a side of envelopes and B-mode that the models see, at most; None for all.

    Raises:
        InputError: a number is missing, or RF is sampled too coarsely.
    """
    name, kind = data.attrs.get("source", "the data"), data.attrs["kind"]
    shape = (data.sizes["depth"], data.sizes["lateral"])
    made: Representation
    if kind in ("rf", "iq"):
        fs, fc = _stated(data, "fs", "sampling"), _stated(data, "fc", "carrier")
        if kind == "rf" and fs < 2.2 * fc:
            raise InputError(
                f"{name}: RF sampled at {fs:g} Hz cannot hold a band about {fc:g} Hz: give IQ, or "
                "correct --fs and --fc"
            )
        centre = _centre(data, fs, fc)
        made = RadioFrequency(data.sizes["depth"], fs, fc, kind == "iq", centre)
        if centre is not None:
            made.remarks = (
                f"The spectrum lies about {centre / 1e6:.3g} MHz, not about the carrier of "
                f"{fc / 1e6:.3g} MHz: it was taken where it is. Is --fc right?",
            )
    elif kind == "envelope":
        made = Envelopes(shape, side)
        if float(data["frames"].min()) < 0:
            raise InputError(
                f"{name}: an envelope holds negative values: is it RF? Say so (--kind)"
            )
    else:
        range_db = float(range_db or data.attrs.get("dynamic_range_db", SHOWN_DB))
        made = LogImages(range_db, shape, side)
    made.scale = _full_scale(data, made)
    return made


def amplitude(data: xr.Dataset, frame: NDArray[Any], range_db: float | None = None) -> Real:
    """Amplitude (depth, lateral) of a frame of any kind, in the file's units."""
    kind = data.attrs["kind"]
    if kind == "rf":
        return envelope(frame)
    if kind == "iq":
        out: Real = np.abs(frame).astype(np.float32)
        return out
    if kind == "bmode":
        return _unlogged(frame, float(range_db or data.attrs.get("dynamic_range_db", SHOWN_DB)))
    return frame.astype(np.float32)


def log_compressed(amplitude: Real, top: float, range_db: float = 60.0) -> Real:
    """0 to 1: 20 log10(A / top) over the dynamic range."""
    return _logged(amplitude / top if top > 0 else amplitude, range_db)


def _stated(data: xr.Dataset, key: str, what: str) -> float:
    """A frequency of RF or IQ."""
    value = data.attrs.get(key)
    if value is None:
        name, kind = data.attrs.get("source", "the data"), data.attrs["kind"]
        raise InputError(
            f"{name}: does not say {key}, the {what} frequency of its {kind.upper()}: "
            f"give it with --{key}"
        )
    out: float = value
    return out


def _centre(data: xr.Dataset, fs: float, fc: float) -> float | None:
    """Where the spectrum lies, if not about the carrier; None where it does, or nothing is clear.

    The mean frequency of all that is stronger than a quarter of the strongest.
    """
    n = data.sizes["depth"]
    frame = np.asarray(data["frames"][data.sizes["frame"] // 2].values)
    power = (np.abs(np.fft.fft(frame, axis=0)) ** 2).mean(axis=1)
    power = ndimage.gaussian_filter1d(power, max(1.0, n / 100), mode="wrap")
    f = np.fft.fftfreq(n, 1 / fs)
    f = f + fc if data.attrs["kind"] == "iq" else f
    strong = (power > power.max() / 4) & (f > 0)
    if not strong.any() or power.max() == 0:
        return None
    middle = float((f * power)[strong].sum() / power[strong].sum())
    lowest, highest = _ABOUT
    plausible = 0.3 * fc < middle < 2 * fc
    return middle if plausible and not lowest < middle / fc < highest else None


def _full_scale(data: xr.Dataset, made: Representation) -> float:
    tops = []
    inside = data["mask"].values if "mask" in data else slice(None)
    for frame in data["frames"]:
        values = amplitude(data, np.asarray(frame.values), getattr(made, "range_db", None))[inside]
        if values.size and values.max() > 0:
            tops.append(float(np.percentile(values, _TOP)) or float(values.max()))
    return float(np.median(tops)) if tops else 1.0


def _at(image: Real, shape: tuple[int, ...], to: tuple[int, ...]) -> Real:
    """Linear interpolation at the middles of the pixels of another grid over the same area."""
    places = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(shape, to, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(ndimage.map_coordinates(image, grid, order=1, mode="nearest"), np.float32)


def _unlogged(image: NDArray[Any], range_db: float) -> Real:
    values = 10 ** ((image.astype(np.float32) - 1) * np.float32(range_db / 20))
    return np.where(image > 0, values, 0).astype(np.float32)


def _logged(amplitude: NDArray[Any], range_db: float) -> Real:
    floor = 10 ** (-range_db / 20)
    db = 20 * np.log10(np.maximum(amplitude, floor))
    out: Real = np.clip(1 + db / range_db, 0, 1).astype(np.float32)
    return out

"""How near an enhanced signal is to the clean one, and whether it kept level and length.

SI-SDR, for a clean x and an estimate e, both without their means (Le Roux et al. 2019, eq. 3):

    SI-SDR = 10 log10( |alpha x|^2 / |alpha x - e|^2 ) dB,     alpha = <e, x> / |x|^2

PESQ is ITU-T P.862 (8 kHz) or P.862.2 wide band (16 kHz) by the package pesq, ESTOI (Jensen and
Taal 2016) by the package pystoi: both in the extra `speech-metrics`.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError

__all__ = ["LevelMeter", "estoi", "pause_masks", "pesq", "reduction_db", "si_sdr"]

Wave = NDArray[Any]
Mask = NDArray[np.bool_]


def si_sdr(estimate: Wave, clean: Wave) -> float:
    """Scale-invariant signal-to-distortion ratio in dB; infinite for a scaled copy.

    Args:
        estimate: (time,).
        clean: (time,).

    Raises:
        InputError: of different lengths, or a silent clean signal.
    """
    e, x = _pair(estimate, clean)
    e, x = e - e.mean(), x - x.mean()
    power = float(x @ x)
    if power == 0:
        raise InputError("SI-SDR: the clean signal is silent: it has no ratio to anything")
    target = float(e @ x) / power * x
    error = float(np.sum((target - e) ** 2))
    signal = float(target @ target)
    if error == 0:
        return math.inf
    return 10 * math.log10(signal / error) if signal > 0 else -math.inf


def pesq(estimate: Wave, clean: Wave, rate: int) -> float:
    """PESQ (MOS-LQO): wide band at 16 kHz, 1.0 to 4.64; narrow band at 8 kHz.

    Raises:
        InputError: the package is not installed, another rate, or no utterance was found.
    """
    try:
        package: Any = import_module("pesq")
    except ImportError as error:
        raise InputError("PESQ needs the package pesq: pip install 'sciddm[speech-metrics]'") from (
            error
        )
    e, x = _pair(estimate, clean)
    if rate not in (8000, 16000):
        raise InputError(f"PESQ is defined at 8 and 16 kHz, not {rate} Hz: resample both signals")
    if not (e.any() and x.any()):
        raise InputError("PESQ cannot be computed: a signal is silent")
    try:
        return float(package.pesq(rate, x, e, "wb" if rate == 16000 else "nb"))
    except package.PesqError as error:
        what = error.args[0] if error.args else type(error).__name__
        what = what.decode() if isinstance(what, bytes) else what
        raise InputError(f"PESQ cannot be computed: {what}") from error


def estoi(estimate: Wave, clean: Wave, rate: int) -> float:
    """Extended short-time objective intelligibility, at most 1.

    Raises:
        InputError: the package is not installed, or the speech is shorter than 0.4 s.
    """
    try:
        from pystoi import stoi
    except ImportError as error:
        raise InputError(
            "ESTOI needs the package pystoi: pip install 'sciddm[speech-metrics]'"
        ) from error
    import warnings

    e, x = _pair(estimate, clean)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # it answers 1e-5 with a warning
        try:
            return float(stoi(x, e, rate, extended=True))
        except RuntimeWarning as error:
            raise InputError("ESTOI needs 0.4 s of speech or more") from error


def pause_masks(clean: Wave, rate: int, beside_s: float = 0.3) -> tuple[Mask, Mask]:
    """Where nobody speaks: (pauses, far from speech; gaps, beside it).

    Speech is where the level over 30 ms is within 45 dB of its largest, a pause what is further
    than `beside_s` from any. How far noise is reduced should not differ between the two: noise
    that comes back in every pause is heard as pumping.

    Args:
        clean: (time,), the speech alone.
        rate: in Hz.
        beside_s: seconds.

    Returns:
        Two masks (time,), neither of which holds speech.
    """
    size = max(1, round(0.03 * rate))
    power = np.convolve(np.square(np.asarray(clean, np.float64)), np.ones(size) / size, "same")
    top = float(power.max(initial=0.0))
    speech = power > max(top * 10**-4.5, 1e-20)
    reach = max(1, round(beside_s * rate))
    count = np.concatenate([[0], np.cumsum(speech)])
    at = np.arange(len(speech))
    near = count[np.minimum(at + reach + 1, len(speech))] - count[np.maximum(at - reach, 0)] > 0
    return ~near, near & ~speech


def reduction_db(noisy: Wave, enhanced: Wave, mask: Mask) -> float:
    """How much quieter the enhanced signal is where the mask is true, in dB; NaN for no such place.

    Args:
        noisy: (time,).
        enhanced: (time,).
        mask: (time,), of `pause_masks`.
    """
    y, e = _pair(noisy, enhanced)
    before, after = float(np.square(y[mask]).sum()), float(np.square(e[mask]).sum())
    if before == 0:
        return math.nan
    return 10 * math.log10(before / after) if after > 0 else math.inf


class LevelMeter:
    """Whether enhancement has kept the level of the speech; needs no clean signal.

    The power of noisy and enhanced signals is averaged over 50 ms. In the tenth of the frames
    with the loudest noisy signal speech dominates in most recordings; the change of level there
    tells whether the speech is still there: noise that was taken away lowers it a little, a lost
    or a quieter voice by much.
    """

    def __init__(self, rate: int) -> None:
        self._size = max(1, round(0.05 * rate))
        self._rest = np.zeros((2, 0))
        self._powers: list[NDArray[np.float64]] = []
        self.frames = 0

    def push(self, noisy: Wave, enhanced: Wave) -> None:
        """Takes the next samples (channel, n) of both."""
        self.frames += noisy.shape[1]
        both = np.stack([noisy, enhanced]).astype(np.float64)
        power = np.concatenate([self._rest, np.square(both).mean(1)], axis=1)
        whole = power.shape[1] // self._size * self._size
        self._powers.append(power[:, :whole].reshape(2, -1, self._size).mean(2))
        self._rest = power[:, whole:]

    def change_db(self) -> float:
        """Level of enhanced minus noisy in the loudest tenth of the frames, dB; NaN if silent."""
        last = [self._rest.mean(1, keepdims=True)] if self._rest.size else []
        noisy, enhanced = np.concatenate([*self._powers, *last], axis=1)
        count = max(1, len(noisy) // 10)
        loud = np.argsort(noisy)[-count:]
        before, after = float(noisy[loud].sum()), float(enhanced[loud].sum())
        if before == 0:
            return math.nan
        return 10 * math.log10(after / before) if after > 0 else -math.inf


def _pair(estimate: Wave, clean: Wave) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    e, x = np.asarray(estimate, np.float64), np.asarray(clean, np.float64)
    if e.shape != x.shape or e.ndim != 1:
        raise InputError(
            f"the signals are {e.shape} and {x.shape}: they must be one channel of equal length"
        )
    return e, x

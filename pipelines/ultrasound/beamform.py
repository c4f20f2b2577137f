"""Channel data to an image: demodulation, delay and sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from scipy import signal

from sciddm.data_adapters.ultrasound import build_frames
from sciddm.data_adapters.ultrasound.channels import waves_of
from sciddm.errors import InputError
from sciddm.physics import DelayAndSum, TransmitWave
from sciddm.progress import Progress

__all__ = ["beamform", "demodulate"]

_TAPS = 65
_WIDER = 1.6  # of the band that passes: -6 dB is not its end
_PHASED = 0.6  # wavelengths between elements, at most, of an array that steers
_WIDEST = 80.0  # degrees
_MOST = 2**26  # entries of frames that are beamformed at once


def demodulate(rf: NDArray[Any], fs: float, fc: float, bandwidth: float) -> NDArray[np.complex64]:
    """Baseband about the carrier: low-pass of 2 rf exp(-2 pi i fc t), along the last axis.

    Also for bandpass sampling, where fs is below twice the carrier: the band must only not overlap
    with its aliases. No group delay.

    Raises:
        InputError: the band and its mirror image overlap at this sampling.
    """
    # The mirror image of the band, about -fc, is turned to -2 fc and sampled, to alias.
    alias = abs((2 * fc + fs / 2) % fs - fs / 2)
    half = bandwidth * fc / 2
    if alias < 2 * half or half >= fs / 2:
        raise InputError(
            f"a band of {2 * half:g} Hz about {fc:g} Hz cannot be told from its mirror image at a "
            f"sampling of {fs:g} Hz: correct fs, fc or bandwidth"
        )
    cut = min(_WIDER * half, alias / 2, 0.49 * fs)
    taps = np.asarray(signal.firwin(min(_TAPS, 2 * (rf.shape[-1] // 8) + 1), cut, fs=fs))
    turned = 2 * rf * np.exp(-2j * np.pi * fc / fs * np.arange(rf.shape[-1]))
    low = signal.oaconvolve(turned, taps.reshape([1] * (rf.ndim - 1) + [-1]), "same", axes=-1)
    return np.asarray(low, np.complex64)


def beamform(
    data: xr.Dataset,
    *,
    depth_mm: tuple[float, float] | None = None,
    lines: int | None = None,
    sector_deg: float | None = None,
    f_number: float = 1.5,
    progress: Progress | None = None,
) -> xr.Dataset:
    """IQ frames of channel data: plane, diverging or focused waves, linear and phased arrays.

    Args:
        data: in the form of `data_adapters.ultrasound.channels`.
        depth_mm: first and last depth (range along the line in a sector); all that the data hold if
            None.
        lines: of the image; two per element if None.
        sector_deg: half the opening angle of a sector of lines from the probe's middle; 0 for
            parallel lines. If None, phased arrays (pitch of at most 0.6 wavelengths) have a sector
            as wide as their waves, and others have parallel lines across the probe.
        f_number: of the receiving aperture; 0 for all elements, which a sector has.
        progress: called after every frame.

    Returns:
        Frames of kind "iq" (see `data_adapters.ultrasound.frames`), 4 samples per wavelength of the
        echo along depth.

    Raises:
        InputError: depths that the data do not hold, or a band that they cannot.
    """
    a = data.attrs
    fs, fc, c = float(a["fs"]), float(a["fc"]), float(a["c"])
    channels, elements = data["channels"], data["element"].values
    waves, first = waves_of(data), data["t0"].values
    count = channels.sizes["time"]
    step = c / (2 * 4 * fc)
    begin = first - np.array([w.delay for w in waves])  # since the wave left the probe
    reach = (begin.min() + (count - 1) / fs) * c / 2
    low, high = (
        (max(begin.max() * c / 2, 0) + 4 * step, reach)
        if depth_mm is None
        else (depth_mm[0] / 1e3, depth_mm[1] / 1e3)
    )
    if not 0 < low < high <= reach * 1.001:
        raise InputError(
            f"{a.get('source', 'the data')}: hold depths up to {1e3 * reach:.1f} mm, not "
            f"{1e3 * low:.1f} to {1e3 * high:.1f}: correct --depth"
        )
    depth = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    half = _half_angle(waves, float(a["pitch"]), c / fc) if sector_deg is None else sector_deg
    if not 0 <= half <= _WIDEST:
        raise InputError(f"--sector {half:g}: half an opening angle of 0 to {_WIDEST:g} degrees")
    number = lines or 2 * len(elements)
    middle = float(elements[0] + elements[-1]) / 2
    if half:
        lateral = np.radians(np.linspace(-half, half, number))
        z = depth[:, None] * np.cos(lateral)
        x = middle + depth[:, None] * np.sin(lateral)
    else:
        lateral = np.linspace(elements[0], elements[-1], number)
        z, x = np.broadcast_arrays(depth[:, None], lateral[None])
    operator = DelayAndSum(
        torch.tensor(elements),
        waves,
        count,
        fs,
        torch.from_numpy(z.copy()),
        torch.from_numpy(x.copy()),
        along=torch.from_numpy(depth)[:, None],
        c=c,
        t0=torch.from_numpy(first),
        carrier=fc,
        f_number=0.0 if half else f_number,
        wavelength=c / fc,
    )
    baseband = np.iscomplexobj(channels.values)
    images: list[NDArray[np.complex64]] = []
    # Delays are the same for all frames: those of some frames at once.
    some = max(1, _MOST // max(1, z.size + channels[0].size))
    for start in range(0, channels.sizes["frame"], some):
        part = channels[start : start + some].values
        if not baseband:
            part = _demodulated(part, fs, fc, float(a["bandwidth"]), first)
        images.extend(operator(torch.from_numpy(part)).numpy())
        if progress is not None:
            progress(len(images), channels.sizes["frame"], "beamforming")
    return build_frames(
        Path(str(a.get("source", "channels"))),
        np.stack(images),
        "iq",
        form="beamformed",
        fc=fc,
        c=c,
        depth=depth,
        lateral=lateral,
        angles=bool(half),
        attrs={
            "f_number": 0.0 if half else f_number,
            "angles_rad": data["angle"].values.tolist(),
            **({"apex_m": float(depth[0])} if half else {}),
        },
    )


def _half_angle(waves: Sequence[TransmitWave], pitch: float, wavelength: float) -> float:
    """Degrees to each side that a phased array looks; 0 for other arrays."""
    if pitch > _PHASED * wavelength:
        return 0.0
    sides = [abs(w.angle) for w in waves]
    for wave in waves:
        if wave.distance < 0 and wave.aperture is not None:
            z, x = wave.source
            sides += [abs(math.atan2(e - x, -z)) for e in wave.aperture]
    return min(math.degrees(max(sides)) or 45.0, _WIDEST)


def _demodulated(
    rf: NDArray[Any], fs: float, fc: float, bandwidth: float, first: NDArray[np.float64]
) -> NDArray[np.complex64]:
    """Baseband (..., wave, element, time) with phase 0 at t = 0, not at the first sample."""
    turn = np.exp(-2j * np.pi * fc * first)[:, None, None]
    out: NDArray[np.complex64] = (demodulate(rf, fs, fc, bandwidth) * turn).astype(np.complex64)
    return out

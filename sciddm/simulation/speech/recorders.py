"""What recorders do to a signal: clipping, few bits, companding, codecs."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft

__all__ = ["clipped", "coded", "low_passed", "mu_law", "quantised"]

Wave = NDArray[np.float32]

#: Containers and codecs that libsndfile encodes without delay.
CODECS = (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))


def clipped(wave: Wave, decibels: float) -> Wave:
    """The wave cut off at so many dB below its peak."""
    limit = np.float32(np.abs(wave).max() * 10 ** (-decibels / 20))
    return np.clip(wave, -limit, limit)


def quantised(wave: Wave, bits: int) -> Wave:
    """Rounded to so many bits, full scale at 1."""
    steps = np.float32(2 ** (bits - 1))
    return np.asarray(np.clip(np.round(wave * steps), -steps, steps - 1) / steps, np.float32)


def mu_law(wave: Wave, mu: float = 255.0) -> Wave:
    """Through 8 bits of mu-law (ITU-T G.711 without its segments), full scale at 1."""
    code = np.sign(wave) * np.log1p(mu * np.minimum(np.abs(wave), 1)) / np.log1p(mu)
    code = np.round(code * 127) / 127
    out: Wave = (np.sign(code) * np.expm1(np.abs(code) * np.log1p(mu)) / mu).astype(np.float32)
    return out


def low_passed(wave: Wave, rate: int, edge: float, width: float = 200.0) -> Wave:
    """Without what lies above ``edge`` Hz, as of a recording once made at a lower rate."""
    frequency = fft.rfftfreq(len(wave), 1 / rate)
    share = np.clip((edge - frequency) / width + 1, 0, 1)
    return np.asarray(fft.irfft(np.asarray(fft.rfft(wave)) * share, len(wave)), np.float32)


def coded(wave: Wave, rate: int, codec: tuple[str, str], compression: float) -> Wave:
    """Encoded and decoded again, aligned and of the same length.

    Args:
        wave: (time,), full scale at 1.
        rate: one that the codec knows.
        codec: container and subtype, one of ``CODECS``.
        compression: 0 (best) to 1 (smallest).
    """
    buffer = io.BytesIO()
    container, subtype = codec
    soundfile.write(
        buffer,
        np.clip(wave, -1, 1),
        rate,
        format=container,
        subtype=subtype,
        compression_level=compression,
    )
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    out = np.zeros_like(wave)
    length = min(len(out), len(decoded))
    out[:length] = decoded[:length]
    return out

"""`sciddm speech stream`: sound from standard input, enhanced to standard output as it comes."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.physics.speech.stft import STFT
from sciddm.pipelines.speech.live import Classical, LiveEnhancement

__all__ = ["CLASSICAL", "Coding", "Sound", "StreamTotals", "opener", "read_header", "run_stream"]

#: Noise reduction that no data have trained.
CLASSICAL = "log-mmse"
_RATE = 16_000

Coding = Literal["s16", "s24", "s32", "f32"]
Samples = NDArray[np.float32]

_BYTES: dict[Coding, int] = {"s16": 2, "s24": 3, "s32": 4, "f32": 4}
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN = 0xFFFFFFFF  # the length of what is still coming in
_LONGEST_CHUNK = 2**24  # of a header


@dataclass(frozen=True)
class Sound:
    """How samples follow each other.

    Attributes:
        rate: in Hz.
        channels: interleaved.
        coding: of a sample, little endian.
        wav: with a WAV header.
        length: bytes of sound that a header announces; None until the end.
    """

    rate: int
    channels: int
    coding: Coding
    wav: bool = False
    length: int | None = None

    def __post_init__(self) -> None:
        if not (1 <= self.rate <= 768_000 and 1 <= self.channels <= 64):
            raise InputError(
                f"{self.channels} channels at {self.rate} Hz: give 1 to 64 channels at 1 to 768000"
            )

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels."""
        return _BYTES[self.coding] * self.channels

    def header(self) -> bytes:
        """Of a WAV file whose length nobody knows yet; nothing for raw samples."""
        if not self.wav:
            return b""
        bits = 8 * _BYTES[self.coding]
        kind = _FLOAT if self.coding == "f32" else _PCM
        form = struct.pack(
            "<HHIIHH", kind, self.channels, self.rate, self.rate * self.frame, self.frame, bits
        )
        riff = b"RIFF" + struct.pack("<I", _UNKNOWN) + b"WAVEfmt " + struct.pack("<I", len(form))
        return riff + form + b"data" + struct.pack("<I", _UNKNOWN)

    def decode(self, content: bytes) -> Samples:
        """Whole frames to samples (channel, n), full scale at 1."""
        wave: NDArray[np.float32]
        if self.coding == "f32":
            wave = np.frombuffer(content, "<f4").astype(np.float32)
        elif self.coding == "s24":
            three = np.frombuffer(content, np.uint8).reshape(-1, 3)
            wide = np.zeros((len(three), 4), np.uint8)
            wide[:, 1:] = three
            wave = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        else:
            bits = 8 * _BYTES[self.coding]
            wave = np.frombuffer(content, f"<i{bits // 8}").astype(np.float32)
            wave = wave / np.float32(2 ** (bits - 1))
        return np.ascontiguousarray(wave.reshape(-1, self.channels).T)

    def encode(self, wave: Samples) -> tuple[bytes, int]:
        """Samples (channel, n) to frames, and how many were clipped."""
        flat = np.ascontiguousarray(wave.T).ravel()
        if self.coding == "f32":
            return flat.astype("<f4").tobytes(), 0
        full = 2.0 ** (8 * _BYTES[self.coding] - 1)
        whole = np.rint(flat.astype(np.float64) * full)
        clipped = int(((whole < -full) | (whole > full - 1)).sum())
        whole = np.clip(whole, -full, full - 1).astype("<i4")
        if self.coding == "s16":
            return whole.astype("<i2").tobytes(), clipped
        if self.coding == "s24":
            return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes(), clipped
        return whole.tobytes(), clipped


@dataclass(frozen=True)
class StreamTotals:
    """What there is to say at the end.

    Attributes:
        seconds: of sound.
        delay_s: between input and output, computing apart.
        real_time_factor: processor seconds for each second of sound.
        clipped: output samples beyond full scale.
        not_numbers: input samples that were NaN or infinite, and were taken as 0.
    """

    seconds: float
    delay_s: float
    real_time_factor: float
    clipped: int
    not_numbers: int

    @property
    def text(self) -> str:
        """One line."""
        parts = [
            f"{self.seconds:.2f} s, delay {1000 * self.delay_s:.1f} ms, "
            f"real-time factor {self.real_time_factor:.3f}"
        ]
        if self.clipped:
            parts.append(f"{self.clipped} samples were clipped")
        if self.not_numbers:
            parts.append(f"{self.not_numbers} samples were no numbers and were taken as 0")
        return "; ".join(parts)


def read_header(source: BinaryIO) -> Sound:
    """Reads a WAV header to the first byte of its sound.

    Raises:
        InputError: it is none, or of samples that cannot be read.
    """
    start = _exactly(source, 12)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise InputError(
            "standard input is no WAV file: for raw samples give --rate, --channels and --format"
        )
    sound: Sound | None = None
    while True:
        name, size = struct.unpack("<4sI", _exactly(source, 8))
        if name == b"data":
            if sound is None:
                raise InputError("standard input: the WAV header does not say what its samples are")
            known = size not in (0, _UNKNOWN) and size < 2**31 - 2**16 and start[:4] == b"RIFF"
            return Sound(sound.rate, sound.channels, sound.coding, True, size if known else None)
        if size > _LONGEST_CHUNK:
            raise InputError(f"standard input: a chunk of {size} bytes in the WAV header")
        content = _exactly(source, size + size % 2)
        if name == b"fmt ":
            sound = _format(content)


def opener(
    model: str, attenuation_limit: float | None = None
) -> Callable[[int, int], LiveEnhancement]:
    """What makes a live enhancement for a rate and a number of channels.

    Args:
        model: "log-mmse", or name, folder or hub id of a causal model.
        attenuation_limit: the most that is taken away, in dB; None for no limit.

    Raises:
        InputError: the model sees the future.
    """
    if model == CLASSICAL:
        return lambda rate, channels: LiveEnhancement(
            Classical(STFT(), channels), STFT(), _RATE, rate, channels, attenuation_limit
        )
    from sciddm.pipelines.speech.pipeline import SpeechEnhancement

    pipeline = SpeechEnhancement.from_pretrained(model)
    pipeline.live(_RATE)  # refused before anything is read
    return lambda rate, channels: pipeline.live(rate, channels, attenuation_limit=attenuation_limit)


def run_stream(
    source: BinaryIO,
    target: BinaryIO,
    opened: Callable[[int, int], LiveEnhancement],
    sound: Sound | None,
    *,
    block_s: float = 0.01,
) -> StreamTotals:
    """Enhances until the input ends.

    Args:
        source: raw samples, or a WAV file.
        target: gets what the source had, enhanced; as many samples in the same coding.
        opened: the enhancement for a rate and a number of channels, of `opener`.
        sound: of raw samples; None for a WAV file.
        block_s: seconds that are read at a time.

    Raises:
        InputError: no WAV header.
    """
    sound = read_header(source) if sound is None else sound
    live = opened(sound.rate, sound.channels)
    target.write(sound.header())
    start = time.process_time()
    clipped = bad = 0

    def give(wave: Samples) -> None:
        nonlocal clipped
        content, beyond = sound.encode(wave)
        clipped += beyond
        target.write(content)
        target.flush()

    for block in _blocks(source, sound, max(1, round(block_s * sound.rate))):
        finite = np.isfinite(block)
        bad += int(block.size - finite.sum())
        give(live.push(np.where(finite, block, np.float32(0))))
    give(live.finish())
    seconds = live.frames_in / sound.rate
    spent = time.process_time() - start
    return StreamTotals(seconds, live.delay_s, spent / max(seconds, 1e-9), clipped, bad)


def _blocks(source: BinaryIO, sound: Sound, samples: int) -> Iterator[Samples]:
    left = sound.length
    rest = b""
    while left is None or left > 0:
        want = samples * sound.frame - len(rest)
        content = source.read(want if left is None else min(want, left))
        if not content:
            return  # a part of a frame at the end is no sample
        left = None if left is None else left - len(content)
        content = rest + content
        whole = len(content) // sound.frame * sound.frame
        rest = content[whole:]
        if whole:
            yield sound.decode(content[:whole])


def _format(content: bytes) -> Sound:
    if len(content) < 16:
        raise InputError("standard input: the WAV header is damaged")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if kind == _EXTENSIBLE and len(content) >= 26:
        kind = struct.unpack("<H", content[24:26])[0]
    codings: dict[tuple[int, int], Coding] = {
        (_PCM, 16): "s16",
        (_PCM, 24): "s24",
        (_PCM, 32): "s32",
        (_FLOAT, 32): "f32",
    }
    if (kind, bits) not in codings:
        raise InputError(
            f"standard input: WAV samples of {bits} bits (format {kind}): give 16, 24 or 32 bits, "
            "or 32-bit floating point"
        )
    return Sound(rate, channels, codings[kind, bits], wav=True)


def _exactly(source: BinaryIO, size: int) -> bytes:
    content = source.read(size)
    if len(content) < size:
        raise InputError("standard input ended within the WAV header")
    return content

"""Writing audio files: exactly as many samples as were given, never clipped, whole or not at all.

Whether a sample would clip is known only when all have been seen. Samples are therefore kept as
float32 in an unnamed temporary file first; if the container holds integers and the peak is beyond
its range, all samples are scaled by one factor, the largest that fits, which the caller is told.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import soundfile
import xarray as xr
from numpy.typing import NDArray

from sciddm.data_adapters.audio.encoding import Encoding, encoding_for
from sciddm.data_adapters.audio.metadata import Metadata, embed
from sciddm.data_adapters.audio.recording import ArrayRecording, Samples
from sciddm.data_adapters.staging import staged

__all__ = ["AudioSink", "save_audio"]

_BLOCK = 2**18


class AudioSink:
    """A new audio file that is given its samples block by block.

    A context manager: at the end of the block the file is written; after an exception it is not.

    Args:
        path: of the new file, in a folder with room for the samples as float32 beside it.
        encoding: see `encoding_for`.
        metadata: tags, markers and the like, carried over as far as the container can hold them.

    Attributes:
        frames: samples per channel so far.
        gain: factor that was applied to all samples, 1 unless they would have clipped; known at
            the end.
    """

    def __init__(self, path: Path, encoding: Encoding, metadata: Metadata | None = None) -> None:
        self.path, self.encoding = path, encoding
        self.metadata = metadata or Metadata()
        self.frames = 0
        self.gain = 1.0
        self._lowest = self._highest = 0.0
        self._kept: Any = None

    def __enter__(self) -> Self:
        self._kept = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115: closed in __exit__
        return self

    def write(self, block: Samples) -> None:
        """Appends samples (channel, n), full scale at 1."""
        if block.shape[0] != self.encoding.channels:
            raise ValueError(f"{block.shape[0]} channels for {self.encoding.channels}")
        if block.shape[1] == 0:
            return
        self._lowest = min(self._lowest, float(block.min()))
        self._highest = max(self._highest, float(block.max()))
        self.frames += block.shape[1]
        self._kept.write(np.ascontiguousarray(block.T, dtype=np.float32).tobytes())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._kept:
            if error is None:
                self._encode()

    @property
    def gain_db(self) -> float:
        """`gain` in dB; 0 unless the samples would have clipped."""
        return 20 * math.log10(self.gain)

    def _encode(self) -> None:
        low, high = self.encoding.range
        self.gain = min(
            1.0,
            high / self._highest if self._highest > high else 1.0,
            low / self._lowest if self._lowest < low else 1.0,
        )
        self._kept.seek(0)
        width = 4 * self.encoding.channels
        with soundfile.SoundFile(
            self.path,
            "w",
            samplerate=self.encoding.rate,
            channels=self.encoding.channels,
            format=self.encoding.container,
            subtype=self.encoding.subtype,
        ) as file:
            self.metadata.set_strings(file, self.encoding.container)
            while content := self._kept.read(_BLOCK * width):
                block = np.frombuffer(content, np.float32).reshape(-1, self.encoding.channels)
                file.write(_quantised(block * np.float32(self.gain), self.encoding.bits))
        embed(self.path, self.encoding.container, self.metadata)


def save_audio(data: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> float:
    """Writes a whole recording; what `open_audio` has read is written as it was.

    Args:
        data: (channel, time) with the attribute rate; container and subtype are kept where the
            suffix allows it.
        path: the suffix chooses the format.
        overwrite: an existing file may be replaced.

    Returns:
        The factor that keeps the samples from clipping, 1 in most cases.

    Raises:
        InputError: other dimensions, no rate, NaN.
        OutputError: unknown suffix, the file exists or cannot be written.
    """
    path = Path(path)
    recording = ArrayRecording(data)
    encoding = encoding_for(
        path,
        recording.rate,
        recording.channels,
        container=str(data.attrs.get("container", "")),
        subtype=str(data.attrs.get("subtype", "")),
        frames=recording.frames,
    )
    with staged([path], overwrite) as at:
        sink = AudioSink(at[path], encoding)
        with sink:
            for block in recording.blocks(_BLOCK):
                sink.write(block)
    return sink.gain


def _quantised(block: NDArray[np.float32], bits: int | None) -> NDArray[Any]:
    """Integers of `bits` in the upper bits of int16 or int32; floating point as it is.

    Done here because libsndfile scales by 2^(bits-1) - 1 when it writes and by 2^(bits-1) when it
    reads, and truncates: samples that nobody has changed would come back changed.
    """
    if bits is None:
        return block
    full = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(block.astype(np.float64) * full), -full, full - 1)
    wide = 16 if bits <= 16 else 32
    return (whole * 2.0 ** (wide - bits)).astype(np.int16 if wide == 16 else np.int32)

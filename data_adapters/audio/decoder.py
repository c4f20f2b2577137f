"""libsndfile in the worker: a file is opened there, and read on block by block.

A stream stays open between its blocks. A worker that was replaced in between opens the file again
and reads up to the place where the other was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from sciddm.data_adapters.audio.headers import FinishedHeader
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError, SciddmError

__all__ = ["Format", "blocks_of", "format_of"]

_MOST_STREAMS = 16
_SKIP = 2**18
Block = NDArray[np.float32]


@dataclass(frozen=True)
class Format:
    """What a header says.

    Attributes:
        rate: samples per second.
        channels: their number.
        frames: samples per channel.
        container, subtype: libsndfile's names ("WAV", "PCM_16").
        remarks: its log.
    """

    rate: int
    channels: int
    frames: int
    container: str
    subtype: str
    remarks: str


def named(source: Path | BinaryIO | FinishedHeader) -> Any:
    """A source as soundfile takes it: a name by its bytes, since it need not be UTF-8."""
    return os.fsencode(source) if isinstance(source, Path) else source


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read on: soundfile seeks after every block of one that can be sought,
    and where a frame needs those before it, as in MP3, sound is lost there."""

    def seekable(self) -> bool:
        return False


def format_of(path: Path, *, unfinished: bool = False, decoded: BinaryIO | None = None) -> Format:
    """What the header of a file says.

    Args:
        path: the file.
        unfinished: its header lacks the lengths.
        decoded: a WAV file that was made of it, to be read instead, in this process.

    Raises:
        InputError: not audio, or damaged.
    """
    if decoded is None:
        return _format(path, unfinished)
    decoded.seek(0)
    return _described(path, decoded)


def blocks_of(
    path: Path, size: int, frames: int, *, unfinished: bool = False, decoded: BinaryIO | None = None
) -> Iterator[Block]:
    """The samples of a file from the start, (up to `size`, channel), until it ends.

    Args:
        path, unfinished, decoded: see `format_of`.
        size: of a block.
        frames: the most that are read.

    Raises:
        InputError: damaged.
    """
    key, read = secrets.token_hex(8), 0
    try:
        if decoded is not None:
            decoded.seek(0)
            with _decoding(path):
                _keep(key, _Sequential(decoded))
        next_block = _next if decoded is not None else _next_in_worker
        while read < frames:
            block = next_block(path, unfinished, key, read, min(size, frames - read))
            if len(block) == 0:
                return
            read += len(block)
            yield block
    finally:
        # A worker that is gone has closed it; so has an interpreter that ends.
        with contextlib.suppress(SciddmError, OSError, TypeError):
            (_close if decoded is not None else _close_in_worker)(path, key)


@isolated
def _format(path: Path, unfinished: bool) -> Format:
    return _described(path, FinishedHeader(path) if unfinished else path)


def _described(path: Path, source: Path | BinaryIO | FinishedHeader) -> Format:
    with _decoding(path), _Sequential(named(source)) as file:
        return Format(
            int(file.samplerate),
            int(file.channels),
            int(file.frames),
            str(file.format),
            str(file.subtype),
            str(file.extra_info),
        )


#: Streams that this process has open: the worker's, or the caller's where there is none.
_streams: OrderedDict[str, soundfile.SoundFile] = OrderedDict()


def _next(path: Path, unfinished: bool, key: str, start: int, size: int) -> Block:
    """The block of a stream that begins at a sample."""
    with _decoding(path):
        if key not in _streams:
            source: Any = FinishedHeader(path) if unfinished else path
            stream = _Sequential(named(source))
            _keep(key, stream)
            skipped = 0
            while skipped < start:
                more = len(stream.read(min(_SKIP, start - skipped), dtype="float32"))
                if not more:
                    break
                skipped += more
        block = _streams[key].read(size, dtype="float32", always_2d=True)
    return np.asarray(block, np.float32)


@isolated
def _next_in_worker(path: Path, unfinished: bool, key: str, start: int, size: int) -> Block:
    return _next(path, unfinished, key, start, size)


def _close(path: Path, key: str) -> None:
    if key in _streams:
        _streams.pop(key).close()


@isolated
def _close_in_worker(path: Path, key: str) -> None:
    _close(path, key)


def _keep(key: str, stream: soundfile.SoundFile) -> None:
    """Opens one stream more; the oldest goes, which nobody has closed."""
    _streams[key] = stream
    if len(_streams) > _MOST_STREAMS:
        _streams.popitem(last=False)[1].close()


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turns libsndfile's errors into one line that names the file."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).strip(". ") or "decoder error"
        raise InputError(
            f"{path}: damaged, or no audio that can be read ({reason}): give WAV, FLAC, OGG or MP3"
        ) from error

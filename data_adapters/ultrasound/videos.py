"""Films by ffmpeg, which says nothing where the disk refuses what it writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sciddm.data_adapters.read_back import incomplete
from sciddm.errors import OutputError

__all__ = ["write_video"]

_RATE = 25
_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".avi": "avi"}


def write_video(frames: NDArray[np.uint8], path: Path) -> None:
    """Writes a film of grey frames.

    ffmpeg writes into memory where the system has anonymous files, and its result is copied.

    Args:
        frames: (frame, y, x).
        path: .mp4, .mov or .avi.

    Raises:
        OutputError: no plugin for videos, or ffmpeg refuses the frames.
        OSError: the disk refuses.
    """
    try:
        from imageio_ffmpeg import write_frames
    except ImportError as error:
        raise OutputError(f"{path}: videos need `pip install sciddm[video]`: or .gif") from error
    height, width = frames.shape[1:]
    with _scratch() as (name, file):
        film = write_frames(
            name,
            (width, height),
            fps=_RATE,
            output_params=["-f", _CONTAINERS[path.suffix.lower()]],
        )
        try:
            film.send(None)
            for frame in frames:
                film.send(np.repeat(frame[..., None], 3, axis=-1).tobytes())
            film.close()
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: ffmpeg cannot make a film of it: write .gif") from error
        if not _is_whole(file):
            raise incomplete(path)
        file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(file, target, 2**20)


def _is_whole(file: BinaryIO) -> bool:
    """Whether the parts of a container, by the sizes that they state, end where the file does."""
    end = os.fstat(file.fileno()).st_size
    at, names = 0, set()
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        if head[:4] == b"RIFF":
            size, name = 8 + int.from_bytes(head[4:8], "little"), head[:4]
        else:
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8:
            return False
        names.add(name)
        at += size + size % 2 * (name == b"RIFF")
    return at == end and bool(names & {b"RIFF", b"moov"})


@contextmanager
def _scratch() -> Iterator[tuple[str, BinaryIO]]:
    """(name for another program, the file) of something that nobody has to remove."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("film"), "w+b") as file:
            yield f"/proc/{os.getpid()}/fd/{file.fileno()}", file
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "film")
        place.touch()
        with place.open("rb") as file:
            yield str(place), file

"""Sound that libsndfile cannot read: AAC in .m4a, sound tracks of videos and the like, by ffmpeg.

The program comes with the package imageio-ffmpeg (extra `video`). It decodes the first sound track
into an unnamed temporary file of 32-bit floating point, so that memory does not grow with length.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from sciddm.data_adapters.gate.ffmpeg import options_for
from sciddm.data_adapters.isolation import isolated
from sciddm.errors import InputError

__all__ = ["decode"]

#: Bytes of decoded sound that are not too many; how many times a file's own size it may have.
_SMALL, _PACKED = 2**32, 1000
_MARGIN = 2**20


def decode(path: Path) -> BinaryIO:
    """A WAV file, open for reading, that is gone once it is closed.

    Raises:
        InputError: the package is not installed, there is no sound in the file, or more of it than
            the disk holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "sound.wav"
        _run(path.resolve(), path, target)
        return target.open("rb")


@isolated  # the program inherits the worker's limits, and ends with it
def _run(file: Path, path: Path, target: Path) -> None:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise InputError(
            f"{path}: {path.suffix} files are read by ffmpeg: pip install 'sciddm[video]', or "
            "convert it to WAV or FLAC"
        ) from error
    free = shutil.disk_usage(target.parent).free // 2
    limit = min(free, max(_SMALL, _PACKED * file.stat().st_size))
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", *options_for(file)]
    command += ["-i", f"file:{file}", "-vn", "-map", "0:a:0", "-c:a", "pcm_f32le"]
    command += ["-rf64", "auto", "-fs", str(limit), "-threads", "1", "-y", str(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0 or not target.exists():
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else "no sound track"
        raise InputError(f"{path}: damaged, or without sound ({reason}): export it again")
    if target.stat().st_size >= limit - _MARGIN:
        raise InputError(
            f"{path}: decodes to more than {limit / 2**30:.1f} GiB, too much for the disk or for a "
            "file of its size: cut it, or free some space"
        )

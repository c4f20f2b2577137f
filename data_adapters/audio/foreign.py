"""Sound that libsndfile cannot read: AAC in .m4a, sound tracks of videos and the like, by ffmpeg.

The program comes with the package imageio-ffmpeg (extra `video`). It decodes the first sound track
into an unnamed temporary file of 32-bit floating point, so that memory does not grow with length.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from sciddm.errors import InputError

__all__ = ["FOREIGN", "decode"]

#: File name suffixes that are read, and not written.
FOREIGN = (
    *(".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wma", ".amr", ".3gp"),
    *(".mka", ".m4b", ".ac3"),
)


def decode(path: Path) -> BinaryIO:
    """A WAV file, open for reading, that is gone once it is closed.

    Raises:
        InputError: the package is not installed, or there is no sound in the file.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError as error:
        raise InputError(
            f"{path}: {path.suffix} files are read by ffmpeg: pip install 'sciddm[video]', or "
            "convert it to WAV or FLAC"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "sound.wav"
        # Only what lies in the file itself: playlists in it may name other files and addresses.
        command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-protocol_whitelist", "file"]
        command += ["-i", f"file:{path.resolve()}", "-vn", "-map", "0:a:0"]
        command += ["-c:a", "pcm_f32le", "-rf64", "auto", "-y", str(target)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0 or not target.exists():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1] if lines else "no sound track"
            raise InputError(f"{path}: damaged, or without sound ({reason}): export it again")
        return target.open("rb")

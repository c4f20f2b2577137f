"""Films and sound for ffmpeg: containers that hold their data, by their first bytes.

Left to itself, the program goes by the content and not by the name: a playlist (HLS, DASH, concat)
called ``a.mp4`` makes it read other files and addresses.
"""

from __future__ import annotations

from pathlib import Path

from sciddm.errors import InputError

__all__ = ["options_for"]

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
#: First bytes -> ffmpeg's name of the container.
_STARTS = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"#!AMR", "amr"),
    (b"\x0bw", "ac3"),
    (b"ID3", "aac"),
    (b"ADIF", "aac"),
)


def options_for(path: Path) -> list[str]:
    """Options before ``-i`` that let ffmpeg read this one file as what it is.

    Raises:
        InputError: none of the containers that hold their data.
    """
    with path.open("rb") as file:
        start = file.read(16)
    name = next((n for begin, n in _STARTS if start.startswith(begin)), "")
    if start[4:8] in _BOXES:
        name = "mov"
    elif start[:4] == b"RIFF" and start[8:11] == b"AVI":
        name = "avi"
    elif len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:  # a frame of ADTS
        name = "aac"
    if not name:
        raise InputError(
            f"{path}: damaged, or without sound or film: no container of {path.suffix[1:]} begins "
            "like that, export it again"
        )
    return ["-protocol_whitelist", "file", "-f", name]

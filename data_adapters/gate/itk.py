"""MetaImage and NRRD: the numbers lie in the file, or in one file of its folder.

A header names the file of its numbers; the library would read any file of the machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from sciddm.data_adapters.gate.inside import inside
from sciddm.errors import InputError

__all__ = ["check_itk"]

_LONGEST = 2**18  # bytes of a header
_LAST = b"ElementDataFile"  # of MetaImage; the numbers follow it where it is LOCAL
_NAMED = re.compile(rb"^\s*(ElementDataFile|data ?file)\s*[=:][ \t]*(.*?)\s*$", re.I | re.M)
_END = re.compile(rb"\r?\n\r?\n")  # of a header of NRRD
_LIST = re.compile(r"LIST(\s|$)", re.I)


def check_itk(path: Path) -> int:
    """Refuses a header that names files outside of its folder, or several of them.

    Returns:
        Bytes of the file that holds the numbers.

    Raises:
        InputError: it does, the file that it names is not there, or the header has no end.
    """
    stored = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_LONGEST)
    nrrd = head.startswith(b"NRRD")
    ended = stored <= _LONGEST
    if nrrd:
        parts = _END.split(head, maxsplit=1)
        head, ended = parts[0], ended or len(parts) > 1
    for match in _NAMED.finditer(head):
        name = match[2].decode("utf-8", "surrogateescape")
        if name.upper() == "LOCAL":
            if match[1] == _LAST and not nrrd:
                ended = True
                break
            continue
        if _LIST.match(name) or "%" in name:
            raise InputError(
                f"{path}: its numbers lie in several files ({name!r}): save it as one .mha or .nrrd"
            )
        stored = inside(path, name, "its header").stat().st_size
    if not ended:
        raise InputError(f"{path}: a header of more than 256 kB: it is damaged, export it again")
    return stored

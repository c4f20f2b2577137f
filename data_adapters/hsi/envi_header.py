"""The text of an ENVI header: KEY = VALUE, lists in braces over several lines, comments.

Keys come back in lower case, since ENVI's have none; comments (lines that begin with ;) come back
as they are, to be written again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from spectral.io import envi

from sciddm.errors import InputError

__all__ = ["flags_of", "read_header", "stated_number", "wavelengths_of", "write_header"]

_TRUE, _FALSE = ("true", "yes", "t"), ("false", "no", "f")
#: Units in which wavelengths cannot be told from a factor, or are none.
_NO_LENGTH = ("index", "unknown", "wavenumber", "ghz", "mhz")


def read_header(path: Path) -> tuple[dict[str, Any], list[str]]:
    """(entries, comments); lists are lists of text, without an empty last entry.

    Raises:
        InputError: it does not begin with ENVI, or a list does not end.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = text.splitlines()
    if not lines or not lines[0].strip().upper().startswith("ENVI"):
        raise InputError(f"{path}: no ENVI header, it does not begin with ENVI: give one")
    entries: dict[str, Any] = {}
    comments = []
    rest = iter(lines[1:])
    for line in rest:
        if line.lstrip().startswith(";"):
            comments.append(line.strip())
            continue
        key, sign, value = line.partition("=")
        if not sign:
            continue
        value = value.strip()
        if value.startswith("{"):
            while not value.endswith("}"):
                more = next(rest, None)
                if more is None:
                    raise InputError(f"{path}: the list of {key.strip()} does not end: correct it")
                if more.lstrip().startswith(";"):
                    comments.append(more.strip())
                else:
                    value += "\n" + more.strip()
        name = key.strip().lower()
        entries[name] = value
        if value.startswith("{") and name == "description":
            entries[name] = value[1:-1].strip()
        elif value.startswith("{"):
            parts = [part.strip() for part in value[1:-1].split(",")]
            entries[name] = parts[:-1] if not parts[-1] else parts
    return entries, comments


def write_header(path: Path, entries: dict[str, Any], comments: list[str]) -> None:
    """Writes a header; the comments stand at its end."""
    envi.write_envi_header(str(path), entries)
    if comments:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join(comments) + "\n")


def flags_of(entries: Any) -> Any:
    """A bad band list as numbers, where it is words: true and false."""
    if not isinstance(entries, list):
        return entries
    words = [str(v).lower() for v in entries]
    if not all(w in (*_TRUE, *_FALSE) for w in words):
        return entries
    return [int(w in _TRUE) for w in words]


def stated_number(path: Path, header: dict[str, Any], key: str) -> float | None:
    """A number of the header, None where it states none.

    Raises:
        InputError: it is no number.
    """
    text = header.get(key)
    if text is None or (isinstance(text, str) and not text.strip()):
        return None
    try:
        return float(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: '{key} = {text}' is no number: correct it") from error


def wavelengths_of(header: dict[str, Any]) -> tuple[ArrayLike | None, str | None]:
    """(wavelengths, a remark): none where their unit is no length, which the remark says."""
    entries = header.get("wavelength")
    if not entries:
        return None, None
    unit = str(header.get("wavelength units", "")).strip()
    if unit.lower() in _NO_LENGTH:
        return None, (
            f"The header states wavelengths in {unit}, which is no length: bands are taken by "
            "their order."
        )
    return entries, None

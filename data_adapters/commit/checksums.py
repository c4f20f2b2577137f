"""Which data belong to which JSON file, and whether they are what was written.

The JSON beside an output holds, under ``sciddm_files``, the SHA-256 of every other output of its
commit. That of a folder or a store is the SHA-256 of the lines ``DIGEST  RELATIVE/PATH`` of its
files, sorted by path. K-space has no JSON: its file holds its own checksum (``seal``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sciddm.data_adapters.commit.seal import is_sealed, sealed_state
from sciddm.errors import InputError
from sciddm.storage.claims import HIDDEN, recover

__all__ = ["FILES", "Check", "digest", "record", "verify"]

#: Key of the digests in the JSON.
FILES = "sciddm_files"
_MARKS = ("sciddm_version", "sciddm_kind")
_BLOCK = 2**20


@dataclass(frozen=True)
class Check:
    """What `verify` says of one output.

    Attributes:
        path: the output.
        state: "whole"; "changed": not what was written; "missing"; "unchecked": its JSON, which
            an earlier version wrote, states no digests.
        listed_in: the JSON that lists it.
    """

    path: Path
    state: Literal["whole", "changed", "missing", "unchecked"]
    listed_in: Path


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's list of files, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return _of_file(path)
    lines = [
        f"{_of_file(p)}  {p.relative_to(path).as_posix()}\n"
        for p in sorted(path.rglob("*"))
        if p.is_file()
    ]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def record(staged: Mapping[str, Path]) -> None:
    """Adds the digests of all other outputs to the JSON among them; nothing where there is none.

    Args:
        staged: from the names of the outputs to where they are now.
    """
    for name, path in staged.items():
        content = _own(path)
        if content is None:
            continue
        others = {n: digest(p) for n, p in staged.items() if n != name and os.path.lexists(p)}
        if others:
            content[FILES] = others
            text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")


def verify(paths: Iterable[str | Path]) -> list[Check]:
    """Whether outputs are whole and belong together.

    Interrupted commits in their folders are settled first.

    Args:
        paths: outputs, their JSON files, or folders of outputs, which are searched with their
            subfolders.

    Returns:
        One `Check` for each output that a JSON file lists, in the order of the JSON files, then for
        each file that holds its own checksum, which is its ``listed_in``.

    Raises:
        InputError: no output of sciddm at one of the paths.
        OutputError: an interrupted commit cannot be settled.
    """
    checks: list[Check] = []
    for path in map(Path, paths):
        for folder in sorted({path.parent, *_folders(path)}):
            recover(folder)
        listed = [check for place, content in _listings(path) for check in _checks(place, content)]
        known = {check.path for check in listed}
        listed += [c for p in _alone(path) if p not in known and (c := _sealed(p)) is not None]
        if not listed:
            raise InputError(f"{path}: no output of sciddm, or its JSON file is missing")
        checks += listed
    return checks


def _alone(path: Path) -> list[Path]:
    """Outputs of a path that may hold their own checksum: itself, or all of a folder."""
    if is_sealed(path) or not path.is_dir():
        return [path] if is_sealed(path) else []
    return [p for folder in _folders(path) for p in sorted(folder.iterdir()) if is_sealed(p)]


def _sealed(path: Path) -> Check | None:
    try:
        whole = sealed_state(path)
    except InputError:  # no longer what any library can read
        whole = False
    return None if whole is None else Check(path, "whole" if whole else "changed", path)


def _checks(place: Path, content: Mapping[str, object]) -> Iterator[Check]:
    files = content.get(FILES)
    if not isinstance(files, Mapping):
        yield Check(place, "unchecked", place)
        return
    for name, expected in files.items():
        path = place.with_name(Path(str(name)).name)
        if not path.exists():
            yield Check(path, "missing", place)
        else:
            yield Check(path, "whole" if digest(path) == expected else "changed", place)


def _listings(path: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    """The JSON files of a path: itself, the one that lists it, or all of a folder."""
    own = _own(path)
    if own is not None:
        yield path, own
        return
    beside = [
        (place, content)
        for place in sorted(path.parent.glob("*.json"))
        if (content := _own(place)) is not None and _lists(content, path, place)
    ]
    if beside:
        yield beside[0]
        return
    if path.is_dir():
        for folder in _folders(path):
            for place in sorted(folder.glob("*.json")):
                content = _own(place)
                if content is not None:
                    yield place, content


def _lists(content: Mapping[str, object], path: Path, place: Path) -> bool:
    files = content.get(FILES)
    if isinstance(files, Mapping):
        return path.name in files
    return path.name.startswith(place.stem + ".") or path.name == place.stem


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(p for p in [path, *path.rglob("*")] if p.is_dir() and HIDDEN not in p.parts)


def _own(path: Path) -> dict[str, object] | None:
    """The content of a JSON file that sciddm wrote; None for any other."""
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(content, dict) and any(mark in content for mark in _MARKS)
    return content if ours else None


def _of_file(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()

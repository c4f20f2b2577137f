"""The run's own copy of the data: read once, checked, split, as arrays that training maps.

RUN/data/index.json    per source: its file, group, part, array and shape
RUN/data/00000.npy     (item, ...) values in the form of the domain's contract
RUN/split.json         the rule and the groups of each part, for people
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciddm.errors import InputError
from sciddm.pipelines.own_prior.sources import RULES, Kind, Source, grouped, sources_of
from sciddm.pipelines.own_prior.split import PARTS, Part, joined, parts_of
from sciddm.storage.durable import write_durably

__all__ = ["Entry", "Prepared", "Read", "Stack", "load_prepared", "prepare"]

_FOLDER, _INDEX, _SPLIT = "data", "index.json", "split.json"
#: A name that is not UTF-8 becomes an escape of JSON's.
_NOT_UTF8 = ("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Stack:
    """What a source holds.

    Attributes:
        values: (item, ...), none where nothing in it can be trained on.
        about: what else the data set or the checks need, such as the size of a pixel.
    """

    values: NDArray[Any]
    about: Mapping[str, float] = field(default_factory=dict)


Read = Callable[[Source], Stack]


@dataclass(frozen=True)
class Entry:
    """One source as an array.

    Attributes:
        file: from the folder of data on.
        group: of which it is.
        part: "train", "validate" or "test".
        array: name of the file with its values.
        shape: of these, (item, ...).
        about: as of ``Stack``.
    """

    file: str
    group: str
    part: Part
    array: str
    shape: tuple[int, ...]
    about: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """What a run trains on.

    Attributes:
        folder: of the arrays.
        rule: how files were told apart; of ``sources.RULES``.
        source: the folder that was read.
        entries: all sources.
    """

    folder: Path
    rule: str
    source: str
    entries: tuple[Entry, ...]

    def of(self, part: Part) -> list[Entry]:
        """The entries of a part, by name of the file."""
        return [entry for entry in self.entries if entry.part == part]

    def values(self, entry: Entry) -> NDArray[Any]:
        """The array of an entry, mapped into memory."""
        out: NDArray[Any] = np.load(self.folder / entry.array, mmap_mode="r")
        return out

    def groups(self, part: Part) -> list[str]:
        """The names of a part's groups."""
        return sorted({entry.group for entry in self.of(part)})

    def items(self, part: Part) -> int:
        """Images (cubes, recordings) of a part."""
        return sum(entry.shape[0] for entry in self.of(part))

    def sentence(self, word: str) -> str:
        """The split in words, for the card and the terminal.

        Args:
            word: what a group is.
        """
        parts = [
            f"{part} {self.items(part)} of {len(self.groups(part))}"
            for part in PARTS
            if self.of(part)
        ]
        return f"by {word} ({RULES[self.rule]}): items and {word}s: {', '.join(parts)}"


def prepare(
    folder: Path,
    run: Path,
    kind: Kind,
    read: Read,
    rule: str | None = None,
    find: Callable[[Path, Kind], list[Source]] = sources_of,
) -> Prepared:
    """Reads a folder into a run, or takes what an earlier call of the run has read.

    Args:
        folder: the user's data.
        run: the run's folder.
        kind: which files.
        read: what a source holds.
        rule: as of ``grouped``.
        find: the sources of the folder.

    Raises:
        InputError: nothing usable, one group only, or the folder changed since the run began.
    """
    sources = find(folder, kind)
    stamp = _stamp(sources)
    target = run / _FOLDER
    if (target / _INDEX).is_file():
        if json.loads((target / _INDEX).read_text(encoding="utf-8"))["stamp"] != stamp:
            raise InputError(
                f"{folder}: its files are not those that {run} began with: start with --fresh, or "
                "another folder for the run"
            )
        return load_prepared(target)
    rule, sources = grouped(folder, sources, kind, rule)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    digests: dict[str, str] = {}
    arrays: dict[str, tuple[str, tuple[int, ...], dict[str, float]]] = {}
    for number, source in enumerate(sources):
        stack = read(source)
        values = stack.values
        if not len(values):
            continue
        name = f"{number:05}.npy"
        np.save(target / name, values)
        digests[source.name] = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        arrays[source.name] = (name, values.shape, dict(stack.about))
    if not arrays:
        raise InputError(
            f"{folder}: its files hold nothing to train on (empty or too noisy): take others"
        )
    groups = joined({s.name: s.group for s in sources if s.name in arrays}, digests)
    if len(set(groups.values())) < 2:
        raise InputError(
            f"{folder}: the {kind.word}s have the same data, or one alone has any: a split needs "
            f"two {kind.word}s"
        )
    parts = parts_of(list(groups.values()))
    entries = tuple(
        Entry(name, groups[name], parts[groups[name]], *arrays[name]) for name in sorted(arrays)
    )
    prepared = Prepared(target, rule, str(folder), entries)
    _write_split(run / _SPLIT, prepared, kind.word, Counter(parts.values()))
    header = {"rule": rule, "source": str(folder), "stamp": stamp}
    table = [asdict(entry) for entry in entries]
    write_durably(target / _INDEX, json.dumps({**header, "entries": table}, indent=1).encode())
    return prepared


def load_prepared(folder: str | Path) -> Prepared:
    """What ``prepare`` wrote.

    Args:
        folder: RUN/data.

    Raises:
        InputError: no such folder, or damaged.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        entries = tuple(Entry(**{**e, "shape": tuple(e["shape"])}) for e in content["entries"])
        return Prepared(folder, content["rule"], content["source"], entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: no prepared data ({error}): start with --fresh") from error


def _stamp(sources: Sequence[Source]) -> str:
    """What tells a folder's content from another, without reading it."""
    lines = [
        f"{s.name} {s.series} {s.path.stat().st_size if s.path.is_file() else ''}" for s in sources
    ]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _write_split(path: Path, prepared: Prepared, word: str, counts: Counter[Part]) -> None:
    record = {
        "rule": RULES[prepared.rule],
        "group": word,
        "parts": "by the SHA-256 of the group's name: validate first, then test, the rest trains",
        "groups": {part: prepared.groups(part) for part in PARTS},
        "counts": {part: counts[part] for part in PARTS},
        "files": {e.file: {"group": e.group, "part": e.part} for e in prepared.entries},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(
        path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(*_NOT_UTF8)
    )

"""Many files: what is to be done, doing it one by one, and going on after a failure.

An input is done when all of its outputs exist. Outputs are written to a temporary name and
renamed, so one that exists is whole; a batch that was stopped is resumed by starting it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sciddm.errors import InputError, OutputError, SciddmError
from sciddm.pipelines.engine.inputs import Entry, has_suffix, items_in
from sciddm.uncertainty.verdict import Verdict

__all__ = [
    "Job",
    "Outcome",
    "Plan",
    "make_folder",
    "named_items",
    "one_line",
    "plan",
    "run",
    "stem",
    "with_page",
]


@dataclass(frozen=True)
class Job:
    """One input and the main output made from it; other outputs lie beside that."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan:
    """What a command line asks for."""

    jobs: tuple[Job, ...]
    batch: bool


@dataclass
class Outcome:
    """How one job ended.

    Attributes:
        job: input and output.
        status: done; skipped, its outputs being there already; or failed.
        seconds: wall time.
        facts: what the domain has to tell about it.
        outputs: files and folders written (or found, when skipped).
        warnings: sentences a user must not miss.
        verdict: fits, calibrated, familiar; None for a result that is no estimate.
        error: one line, when it failed.
        cause: the exception behind it.
        listing: header and rows of a table that is printed below the facts of a single item.
        busy: skipped, since another process makes it at this moment.
    """

    job: Job
    status: Literal["done", "skipped", "failed"]
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    outputs: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    error: str | None = None
    cause: BaseException | None = None
    listing: tuple[Sequence[str], Sequence[Sequence[str]]] | None = None
    busy: bool = False


def stem(path: Path, suffixes: Iterable[str]) -> str:
    """File name without its suffix, the longest of `suffixes` that fits (.nii.gz before .gz)."""
    name = path.name
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return path.stem


def named_items(
    path: Path,
    read: Sequence[str],
    whole: Callable[[Path], bool] = lambda folder: False,
    beside: Sequence[str] = (),
) -> tuple[dict[str, Path], bool]:
    """The items of a folder, or the one, by their names without suffix; whether it is a folder.

    Args:
        path: file or folder.
        read, whole: as for `plan`.
        beside: endings of names: NAME_std, say, is no item where NAME is one.
    """
    if not path.is_dir() or has_suffix(path, read) or whole(path):
        return {_parted(path, read)[0]: path}, False
    items = {_parted(entry.path, read)[0]: entry.path for entry in items_in(path, read, whole)}
    layers = {f"{name}{ending}" for name in items for ending in beside}
    return {name: p for name, p in items.items() if name not in layers}, True


def plan(
    inputs: Sequence[Path],
    output: Path,
    *,
    read: Sequence[str],
    written: Sequence[str],
    suffix: str | None,
    whole: Callable[[Path], bool] = lambda folder: False,
    whole_kind: str = "",
    recursive: bool = False,
    batch: bool = False,
    folders: bool = False,
) -> Plan:
    """Pairs inputs with outputs.

    One file goes to `output` itself, or under its own name into `output` where that is a folder.
    Several files, or a folder of them, go into the folder `output`, each under its own name.

    Args:
        inputs: files and folders. Of a folder the files with a suffix in `read` are taken. A
            folder that is one data set (.zarr, or `whole`) counts as a file.
        output: file or folder.
        read: suffixes of inputs.
        written: suffixes of outputs; one of them makes `output` a file.
        suffix: suffix of the outputs in a folder; None for that of each input, or the first of
            `written` where that cannot be written.
        whole: whether a folder is one data set, whatever its name, as a DICOM series is. One such
            as output is what a single input is written to.
        whole_kind: what such a folder is called in messages.
        recursive: search subfolders too; the outputs lie in subfolders of the same names.
        batch: one input is a batch, too.
        folders: inputs are folders of items, also those that look like one data set, or that
            hold nothing yet.

    Raises:
        InputError: no input, an empty folder, one output for several inputs, an output that is
            an input, or two inputs that would have the same output.
    """
    if not inputs:
        raise InputError("no input given")
    entries: list[Entry] = []
    batch = batch or len(inputs) > 1
    for path in inputs:
        if not folders and (not path.is_dir() or has_suffix(path, read) or whole(path)):
            entries.append(Entry(path, Path()))
            continue
        batch = True
        items = list(items_in(path, read, whole, recursive=recursive, without=output))
        if not items and not folders:
            kinds = f"no {whole_kind} and no file" if whole_kind else "no file"
            deeper = any(p.is_dir() for p in path.iterdir()) and not recursive
            raise InputError(
                f"{path}: the folder holds {kinds} named {', '.join(read)}"
                + (" (--recursive searches its subfolders)" if deeper else "")
            )
        entries += items
    first: dict[Path, Entry] = {}
    for entry in entries:
        first.setdefault(entry.path, entry)
    entries = list(first.values())
    is_file = has_suffix(output, written)
    if not batch and (is_file or not output.is_dir() or whole(output)):
        # A new name without a suffix is more likely a forgotten suffix than a folder: the
        # writer's message lists what can be written.
        return Plan((_job(entries[0].path, output),), batch=False)
    if is_file:
        raise InputError(f"{output}: several inputs need a folder as output, not one file")
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: several inputs need a folder as output, this is a file")
    jobs: dict[Path, Job] = {}
    parted = [_parted(entry.path, read) for entry in entries]
    endings: dict[Path, set[str]] = {}
    for entry, (name, own) in zip(entries, parted, strict=True):
        endings.setdefault(entry.below / name, set()).add(own)
    for (source, below), (name, own) in zip(entries, parted, strict=True):
        # What lies beside the outputs has this name too: a.json, a.html. Names that differ in
        # their suffix only keep it: a_flac, a_mp3.
        if len(endings[below / name]) > 1:
            name = f"{name}_{own.lstrip('.').replace('.', '_')}"
        # A folder without a suffix, a DICOM series, is followed by a folder.
        same = own.lower() in written or (not own and source.is_dir())
        kept = own if same or not written else written[0]
        target = output / below / f"{name}{kept if suffix is None else suffix}"
        if below / name in jobs:
            other = jobs[below / name].source
            raise InputError(f"{other} and {source} would both be written to {target}")
        jobs[below / name] = _job(source, target)
    return Plan(tuple(jobs.values()), batch)


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Outcome],
    *,
    finished: Callable[[Job], Outcome | None],
    after: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Does the jobs in their order; one that fails does not stop the others.

    Args:
        jobs: what to do.
        work: does one job and returns its outcome; its exceptions become failed outcomes.
        finished: the outcome of a job that is done already, None where it is to be done.
        after: called with every outcome.
    """
    outcomes = []
    for job in jobs:
        start = time.perf_counter()
        try:
            outcome = finished(job) or work(job)
        except Exception as error:  # whatever is wrong with one file, the others go on
            outcome = Outcome(job, "failed", error=one_line(error), cause=error)
        outcome.seconds = time.perf_counter() - start
        outcomes.append(outcome)
        after(outcome)
    return outcomes


def with_page(outputs: Sequence[Path], report: bool) -> list[Path]:
    """The outputs, of which the last is the JSON file, and the HTML page beside it if wanted."""
    return [*outputs, *([outputs[-1].with_suffix(".html")] if report else [])]


def make_folder(path: Path) -> None:
    """Makes the folder outputs go to, if it is not there; OutputError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made ({error.strerror})") from error


def one_line(error: BaseException) -> str:
    """The message of an exception on one line; its type too where it was not written for users."""
    message = " ".join(str(error).split())
    if isinstance(error, SciddmError):
        return message
    return f"unexpected {type(error).__name__}: {message}".rstrip(": ")


def _job(source: Path, target: Path) -> Job:
    if source.exists() and target.exists() and source.samefile(target):
        raise InputError(f"{target}: is the input itself: give another name or folder as output")
    return Job(source, target)


def _parted(path: Path, suffixes: Sequence[str]) -> tuple[str, str]:
    """Name and suffix; the dots in a folder's name, which may be a UID, begin no suffix."""
    if path.is_dir() and not has_suffix(path, suffixes):
        return path.name or path.resolve().name, ""
    name = stem(path, suffixes)
    return name, path.name[len(name) :]

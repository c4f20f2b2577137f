"""Which items of a batch are done already, and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciddm.errors import OutputError
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.stamp import hash_of_files

__all__ = ["completed"]


def completed(
    job: Job,
    outputs: Sequence[Path],
    request: Mapping[str, Any],
    inputs: Sequence[Path] = (),
) -> Outcome | None:
    """The outcome of a job whose outputs are there already, None where work is left.

    Args:
        job: the item.
        outputs: all that would be written; among them the JSON file that states the request.
        request: the options that decide the content.
        inputs: the files of the item. One that has changed since is a warning.

    Raises:
        OutputError: files of the same names are there that sciddm did not write.
    """
    there = [path for path in outputs if path.exists()]
    if not there:
        return None
    if not any(path.suffix == ".json" for path in outputs):
        # Nothing tells how these were made: kept if all are there, else made.
        if len(there) < len(outputs):
            return None
        say("note", f"{job.source.name}: done already, kept {job.target}")
        return Outcome(job, "skipped", outputs=there)
    stored = next((_content(path) for path in there if path.suffix == ".json"), None)
    if stored is None or "sciddm_version" not in stored:
        raise OutputError(f"{there[0]}: exists and is incomplete or not ours (--overwrite)")
    if len(there) < len(outputs) and not _optional(outputs, there):
        return None
    earlier = _request(stored)
    outcome = Outcome(job, "skipped", outputs=there)
    wanted = json.loads(json.dumps(request))
    if earlier is not None and earlier != wanted:
        keys = sorted(k for k in {*earlier, *wanted} if earlier.get(k) != wanted.get(k))
        outcome.warnings.append(
            f"kept {job.target}, which was made with another {', '.join(keys)} "
            "(--overwrite makes it again)"
        )
    elif _changed(inputs, stored, there):
        outcome.warnings.append(
            f"kept {job.target}, but its input has changed since (--overwrite makes it again)"
        )
    else:
        say("note", f"{job.source.name}: done already, kept {job.target}")
    return outcome


def _changed(inputs: Sequence[Path], stored: Mapping[str, Any], there: Sequence[Path]) -> bool:
    """Whether inputs are newer than the outputs and of another content."""
    time_made = min(path.stat().st_mtime_ns for path in there)
    files = [file for path in inputs for file in ([path] if path.is_file() else path.rglob("*"))]
    if all(file.stat().st_mtime_ns <= time_made for file in files):
        return False
    digest = stored.get("input_sha256")
    return bool(digest) and digest != hash_of_files(inputs)


def _optional(outputs: Sequence[Path], there: Sequence[Path]) -> bool:
    """Whether all that is missing may be: a standard deviation that the method did not give."""
    missing = [path for path in outputs if path not in there]
    if outputs[0] in missing:  # the JSON is that of another format
        return False
    listed = [path for path in there if path.suffix == ".json"]
    files = (_content(listed[0]) or {}).get("sciddm_files") if listed else None
    if not isinstance(files, Mapping):
        return False
    # The JSON lists what its commit wrote: what it does not list was never there.
    return all(path.name not in files and path.suffix != ".html" for path in missing)


def _content(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _request(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    request = stored.get("request")
    if isinstance(request, str):
        try:
            request = json.loads(request)
        except ValueError:
            return None
    return request if isinstance(request, dict) else None

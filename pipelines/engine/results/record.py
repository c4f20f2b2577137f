"""What a command writes of its items into the table of results, in whatever process."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import Outcome
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.results.ledger import append, begin, finish, read
from sciddm.pipelines.engine.results.row import Row, figures_of, row_of, row_of_json
from sciddm.pipelines.engine.results.table import CSV, PAGE, PARQUET, write_results
from sciddm.pipelines.engine.summary import Fact

if TYPE_CHECKING:
    from sciddm.pipelines.engine.result import Result

__all__ = ["Record", "check_names"]


@dataclass(frozen=True)
class Record:
    """The table of one batch. A disk that refuses a row costs a warning, not the result.

    Attributes:
        folder: of the outputs.
        verb: domain and name.
    """

    folder: Path
    verb: str

    def begin(
        self, result: Result, facts: dict[str, Fact], source: Path, outputs: Sequence[Path]
    ) -> str | None:
        """Writes a row down before its outputs are committed; gives what ``finish`` needs."""
        row = row_of(
            self.verb,
            source,
            self._name(outputs[0]),
            attrs=result.attrs,
            facts=facts,
            verdict=result.verdict if result.is_estimate else None,
            warnings=result.warnings,
        )
        about = next((p for p in outputs if p.suffix == ".json"), None)
        if any(p.suffix == ".html" for p in outputs):
            row["picture"] = _picture(result)
        row["about"] = None if about is None else self._name(about)
        with _tolerant(source):
            return begin(self.folder, row)
        return None

    def finish(self, token: str | None, outcome: Outcome) -> None:
        """Writes down that the outputs are there."""
        if token is None:
            return
        page = next((p for p in outcome.outputs if p.suffix == ".html"), None)
        changes: Row = {
            # With those that are known once the outputs are there.
            **figures_of(outcome.facts),
            "warnings": outcome.warnings,
            "seconds": round(outcome.seconds, 3),
            **({} if page is None else {"page": self._name(page)}),
        }
        with _tolerant(outcome.job.source):
            finish(self.folder, token, changes)

    def failure(self, outcome: Outcome) -> None:
        """Writes a failed item down."""
        with _tolerant(outcome.job.source):
            append(
                self.folder,
                {
                    "input": str(outcome.job.source),
                    "output": self._name(outcome.job.target),
                    "status": "failed",
                    "error": outcome.error,
                    "warnings": [],
                    "seconds": round(outcome.seconds, 3),
                    "verb": self.verb,
                    "time": time.time(),
                },
            )

    def close(self, outcomes: Iterable[Outcome]) -> list[Row]:
        """Writes the tables of all that was ever made in the folder.

        Args:
            outcomes: of this run; outputs without a row, such as those of earlier versions, get
                one from their JSON files.
        """
        with _tolerant(self.folder):
            rows = {(row.get("verb"), row["output"]) for row in read(self.folder)}
            for outcome in outcomes:
                name = self._name(outcome.job.target)
                if outcome.status != "failed" and (self.verb, name) not in rows:
                    for content in _contents(outcome.outputs):
                        row = row_of_json(self.verb, outcome.job.source, name, content)
                        append(self.folder, {**row, "time": time.time()})
            return write_results(self.folder)
        return []

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def check_names(folder: Path, outputs: Iterable[Path]) -> None:
    """Keeps the names of the tables free.

    Raises:
        InputError: an output has one of them.
    """
    reserved = {folder / name for name in (CSV, PARQUET, PAGE)}
    for path in outputs:
        if path in reserved:
            raise InputError(
                f"{path}: is the name of the table of all results: rename the input of this name"
            )


def _picture(result: Result) -> str | None:
    """For the page of the batch; a result is worth more than its picture."""
    try:
        content = result.picture()
    except Exception:  # told when its own page is written
        return None
    return None if content is None else base64.b64encode(content).decode("ascii")


def _contents(outputs: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in outputs:
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                yield content


@contextmanager
def _tolerant(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        say("warning", f"{where}: the table of results cannot be written ({error.strerror})")

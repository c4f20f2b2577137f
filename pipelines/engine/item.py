"""One item of a command: from the look at what is there to its outcome, in whatever process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciddm.data_adapters.commit import BusyError, claim
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.console import say
from sciddm.pipelines.engine.context import Context, silent
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.result import outputs_of
from sciddm.pipelines.engine.results.record import Record
from sciddm.pipelines.engine.resume import completed
from sciddm.pipelines.engine.summary import done
from sciddm.pipelines.engine.verb import Transform
from sciddm.progress import Progress

if TYPE_CHECKING:
    from sciddm.pipelines.engine.result import Result

__all__ = ["Item", "Watch"]

#: Opens what shows the progress of an item while it is computed.
Watch = Callable[[], AbstractContextManager[Progress]]


def _unseen() -> AbstractContextManager[Progress]:
    return nullcontext(silent)


@dataclass(frozen=True)
class Item:
    """What is to be done with one input.

    Attributes:
        job: the input and its main output.
        request: the options.
        saves: whether anything is written.
        batch: one of several: outputs that are there are kept, and one that another process makes
            is left to it.
        overwrite: make again what exists.
        report: write the HTML page, too.
        record: the table that the result gets a row of; None for none.
    """

    job: Job
    request: Request
    saves: bool = True
    batch: bool = False
    overwrite: bool = False
    report: bool = False
    record: Record | None = None

    def outputs(self, verb: Transform[..., Any, Any]) -> list[Path]:
        """All outputs that the verb may write."""
        if not self.saves:
            return []
        return outputs_of(verb, self.job.target, self.request, self.report)

    def earlier(self, verb: Transform[..., Any, Any]) -> Outcome | None:
        """The outcome where the outputs are there already; None where work is left.

        Raises:
            OutputError: files of the same names are there that sciddm did not write.
        """
        if self.overwrite or not self.batch or not self.saves:
            return None
        source, job = verb.source, self.job
        inputs = [] if source is None else source.files(job.source, self.request)
        return completed(job, self.outputs(verb), self.request.stored(), inputs)

    def attempt(self, verb: Transform[..., Any, Any], watch: Watch = _unseen) -> Outcome:
        """Claims the outputs, computes, and writes all of them, or none.

        Args:
            verb: what to do.
            watch: see ``Watch``.

        Raises:
            SciddmError: the item cannot be done.
        """
        if not self.saves:
            with watch() as progress:
                return self._process(verb, Context(progress))
        # What is left of an interrupted batch is ours: `completed` has seen to that.
        replace = self.overwrite or self.batch
        paths = self.outputs(verb)
        verb.target.check(paths, replace)
        target = self.job.target
        try:
            beside = [p for p in paths if p.parent == target.parent]
            with claim(beside), watch() as progress:
                # Another process may have made it between the look and the claim.
                return self.earlier(verb) or self._process(
                    verb, Context(progress, target=target), replace=replace
                )
        except BusyError as busy:
            if not self.batch:
                raise
            say("note", f"{self.job.source.name}: left to another process ({busy})")
            return Outcome(self.job, "skipped", busy=True)

    def _process(
        self, verb: Transform[..., Any, Any], context: Context, *, replace: bool = False
    ) -> Outcome:
        start = time.perf_counter()
        try:
            result: Result = verb.result(self.job.source, self.request, context)
            facts, written, token = result.facts, list[Path](), None
            if self.saves:
                context.progress(1, 1, "writing")
                if self.record is not None:
                    paths = self.outputs(verb)
                    token = self.record.begin(result, facts, self.job.source, paths)
                written = result.save(self.job.target, overwrite=replace, report=self.report)
                facts.update(result.agreement)
                context.finish()
            outcome = done(self.job, facts, written, {"warnings": result.warnings})
            outcome.verdict = result.verdict if result.is_estimate else None
            outcome.seconds = time.perf_counter() - start
            if self.record is not None:
                self.record.finish(token, outcome)
            if verb.listing is not None:
                outcome.listing = verb.listing(result.data)
            return outcome
        finally:
            context.close()

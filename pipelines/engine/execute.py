"""The body of every command: plan, check, do, tell, exit code.

Exit codes: 0 all is well; 1 some files of a batch failed, or sciddm itself did; 2 the input, the
output or an option is unusable, and nothing was written.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciddm.data_adapters import isolation
from sciddm.data_adapters.commit import BusyError, claim, recover
from sciddm.errors import InputError, SciddmError
from sciddm.pipelines.engine.batch import Job, Outcome, Plan, make_folder, plan, run
from sciddm.pipelines.engine.console import output, progress_bar, say, spoken
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.hints import advised
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.result import outputs_of
from sciddm.pipelines.engine.resume import completed
from sciddm.pipelines.engine.summary import document, done, show
from sciddm.pipelines.engine.verb import Transform

__all__ = ["Running", "execute", "process"]


@dataclass(frozen=True)
class Running:
    """How a command runs; nothing of it decides a result.

    Attributes:
        report: write the HTML page, too.
        overwrite: make again what exists.
        as_json: print the JSON document instead of the table.
        form: format of the outputs in a folder, None for the default.
        debug: print where an error arose.
        arguments: of the command line, for the JSON document.
    """

    report: bool = False
    overwrite: bool = False
    as_json: bool = False
    form: str | None = None
    debug: bool = False
    arguments: tuple[str, ...] = ()


def execute(
    verb: Transform[..., Any, Any],
    inputs: Sequence[Path],
    target: Path | None,
    request: Request,
    running: Running,
) -> int:
    """Runs a verb on its inputs.

    Args:
        verb: what to do.
        inputs: files and folders; empty for a verb that has no input.
        target: file or folder; None where the output is optional and not asked for.
        request: the options.
        running: how.

    Returns:
        The exit code.
    """
    isolation.prepare()  # loads while the model does
    planned = _plan(verb, inputs, target, running.form)
    jobs = planned.jobs
    if target is None and running.report:
        raise InputError("--report needs an output: add -o")

    def outputs(job: Job) -> list[Path]:
        return [] if target is None else outputs_of(verb, job.target, request, running.report)

    def skipped(job: Job) -> Outcome | None:
        if running.overwrite or not planned.batch or target is None:
            return None
        return completed(job, outputs(job), request.stored())

    if target is not None:
        for folder in sorted({path.parent for job in jobs for path in outputs(job)}):
            for sentence in recover(folder):
                say("note", sentence)
    if planned.batch:
        if target is not None:
            make_folder(target)
        if running.overwrite or any(not all(p.exists() for p in outputs(j)) for j in jobs):
            verb.prepare(request)
    elif target is not None:
        verb.target.check(outputs(jobs[0]), running.overwrite)

    def attempt(job: Job) -> Outcome:
        # What is left of an interrupted batch is ours, `completed` has seen to that.
        replace = running.overwrite or planned.batch
        number = f"{jobs.index(job) + 1}/{len(jobs)} " if planned.batch else ""
        title = f"{number}{job.source.name}"
        if target is None:
            with progress_bar(title) as progress:
                return process(verb, job, None, request, Context(progress))
        paths = outputs(job)
        verb.target.check(paths, replace)
        try:
            beside = [p for p in paths if p.parent == job.target.parent]
            with claim(beside), progress_bar(title) as progress:
                # Another process may have made it between the look and the claim.
                return skipped(job) or process(
                    verb,
                    job,
                    job.target,
                    request,
                    Context(progress, target=job.target),
                    overwrite=replace,
                    report=running.report,
                )
        except BusyError as busy:
            if not planned.batch:
                raise
            say("note", f"{job.source.name}: left to another process ({busy})")
            return Outcome(job, "skipped")

    def tell(outcome: Outcome) -> None:
        if outcome.cause is not None and running.debug:
            traceback.print_exception(outcome.cause, file=sys.stderr)
        if outcome.error is not None:
            hint = "" if isinstance(outcome.cause, SciddmError) else " (--debug shows where)"
            said = spoken(outcome.cause) if outcome.cause is not None else ""
            say("error", (said or outcome.error) + hint)
        for warning in outcome.warnings:
            say("warning", f"{outcome.job.source.name}: {warning}")

    outcomes = run(jobs, attempt, finished=skipped, after=tell)
    failed = [o for o in outcomes if o.status == "failed"]
    if running.as_json:
        words = shlex.join(["sciddm", *running.arguments])
        print(json.dumps(document(outcomes, words), indent=2))
    elif planned.batch or not failed:
        show(outcomes, output())
    if not failed:
        return 0
    return 2 if not planned.batch and isinstance(failed[0].cause, SciddmError) else 1


def process(
    verb: Transform[..., Any, Any],
    job: Job,
    target: Path | None,
    request: Request,
    context: Context,
    *,
    overwrite: bool = False,
    report: bool = False,
) -> Outcome:
    """Reads one item, computes, and writes all outputs, or none.

    Args:
        verb: what to do.
        job: the item.
        target: main output, None for none.
        request: the options.
        context: of the computation.
        overwrite: existing outputs may be replaced.
        report: write the HTML page, too.
    """
    start = time.perf_counter()
    try:
        result = verb.result(job.source, request, context)
        written: list[Path] = []
        if target is not None:
            context.progress(1, 1, "writing")
            written = result.save(target, overwrite=overwrite, report=report)
            context.finish()
        outcome = done(job, result.facts, written, {"warnings": result.warnings})
        outcome.verdict = result.verdict if result.is_estimate else None
        outcome.seconds = time.perf_counter() - start
        if verb.listing is not None:
            outcome.listing = verb.listing(result.data)
        return outcome
    finally:
        context.close()


def _plan(
    verb: Transform[..., Any, Any], inputs: Sequence[Path], target: Path | None, form: str | None
) -> Plan:
    source = verb.source
    if source is None:
        assert target is not None, "a verb without an input has an output"
        return Plan((Job(target, target),), batch=False)
    try:
        planned = plan(
            inputs,
            Path() if target is None else target,
            read=source.suffixes,
            written=() if target is None else verb.target.suffixes,
            suffix=verb.target.suffix(form),
            whole=source.is_item,
            whole_kind=source.item,
        )
    except InputError as error:
        # A folder may hold nothing of this domain and something of another.
        if len(inputs) != 1 or not inputs[0].is_dir():
            raise
        raise advised(error, inputs[0], verb.domain, verb.name) from error
    if target is not None and verb.target.single and len(planned.jobs) > 1:
        raise InputError(f"{target}: one file for {len(planned.jobs)} inputs: give one input")
    return planned

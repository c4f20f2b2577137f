"""The body of every command: plan, check, do, tell, exit code.

Exit codes: 0 all is well; 1 some files of a batch failed, or sciddm itself did; 2 the input, the
output or an option is unusable, and nothing was written.
"""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sciddm.data_adapters import isolation
from sciddm.data_adapters.commit import recover
from sciddm.errors import InputError, OptionError, SciddmError
from sciddm.pipelines.engine.arrivals import arrivals
from sciddm.pipelines.engine.batch import Job, Outcome, Plan, make_folder, one_line, plan, run
from sciddm.pipelines.engine.console import output, say, spoken
from sciddm.pipelines.engine.hints import advised
from sciddm.pipelines.engine.inputs import with_lists
from sciddm.pipelines.engine.item import Item
from sciddm.pipelines.engine.pipes import Ends, piped
from sciddm.pipelines.engine.progress_bar import progress_bar
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.results.record import Record, check_names
from sciddm.pipelines.engine.summary import document, show
from sciddm.pipelines.engine.verb import Transform
from sciddm.pipelines.engine.workers.divided import divided
from sciddm.pipelines.engine.workers.parallel import ALONE, WHOLE, Parallel
from sciddm.pipelines.engine.workers.task import Address, Task

__all__ = ["Running", "execute"]


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
        recursive: search subfolders of input folders, too.
        parallel: who does the items of a batch.
        watch: go on with what arrives in the folder, until the command is stopped.
    """

    report: bool = False
    overwrite: bool = False
    as_json: bool = False
    form: str | None = None
    debug: bool = False
    arguments: tuple[str, ...] = ()
    recursive: bool = False
    parallel: Parallel = ALONE
    watch: bool = False


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
    with piped(verb, inputs, target) as ends:
        if ends.to_pipe and (running.report or running.as_json):
            raise InputError("standard output gets the file: --report and --json need -o FILE")
        return _execute(verb, ends, request, running)


def _execute(verb: Transform[..., Any, Any], ends: Ends, request: Request, running: Running) -> int:
    if running.watch:
        return _watch(verb, ends, request, running)
    planned = _plan(verb, ends.inputs, ends.target, running)
    if not running.parallel.divides:
        _ready_to_read(verb)
    outcomes = _do(verb, planned, ends.target, request, running)
    failed = [o for o in outcomes if o.status == "failed"]
    if running.as_json:
        words = shlex.join(["sciddm", *running.arguments])
        print(json.dumps(document(outcomes, words), indent=2))
    elif planned.batch or not failed:
        show(outcomes, output(aside=ends.to_pipe))
    if not failed:
        return 0
    return 2 if not planned.batch and isinstance(failed[0].cause, SciddmError) else 1


def _watch(verb: Transform[..., Any, Any], ends: Ends, request: Request, running: Running) -> int:
    """Does what arrives in a folder, item by item, until the command is stopped."""
    folders, target = ends.inputs, ends.target
    if len(folders) != 1 or not folders[0].is_dir():
        raise OptionError("watch", "give one folder, which is there")
    if target is None:
        raise OptionError("watch", "needs a folder for the results: add -o")
    if running.parallel != ALONE or running.overwrite:
        raise OptionError(
            "watch", "is done by one process, which replaces nothing: leave out what says otherwise"
        )
    make_folder(target)
    if target.resolve() == folders[0].resolve():
        raise InputError(f"{target}: is the folder that is watched: give another as output")
    _ready_to_read(verb)
    with verb.on_device(request):
        verb.prepare(request)  # before the first item: no item can mend what this refuses
    words = shlex.join(["sciddm", *running.arguments])
    outcomes: list[Outcome] = []
    say("note", f"{folders[0]}: what arrives is done until you press Ctrl-C")
    try:
        for jobs in arrivals(lambda: _plan(verb, folders, target, running).jobs):
            for job in jobs:
                outcomes.append(_do_one(verb, job, target, request, running))
                if running.as_json:
                    print(json.dumps(document(outcomes[-1:], words)), flush=True)
                else:
                    output(aside=True).print(_line(outcomes[-1]))
    except KeyboardInterrupt:
        if not running.as_json and outcomes:
            show(outcomes, output())
    return 1 if any(o.status == "failed" for o in outcomes) else 0


def _ready_to_read(verb: Transform[..., Any, Any]) -> None:
    """Starts the process that reads files, before torch is loaded: it is cheap until then."""
    if verb.source is not None:
        isolation.prepare([verb.source.reader] if verb.source.reader else [])


def _do_one(
    verb: Transform[..., Any, Any], job: Job, target: Path, request: Request, running: Running
) -> Outcome:
    """One item of a folder that is watched: whatever is wrong with it, the next ones are done."""
    try:
        (outcome,) = _do(verb, Plan((job,), batch=True), target, request, running)
    except SciddmError as error:
        say("error", spoken(error))
        outcome = Outcome(job, "failed", error=one_line(error))
    outcome.cause = None  # its traceback would keep the data
    return outcome


def _line(outcome: Outcome) -> str:
    return f"{outcome.job.source.name}: {outcome.status}, {outcome.seconds:.1f} s"


def _do(
    verb: Transform[..., Any, Any],
    planned: Plan,
    target: Path | None,
    request: Request,
    running: Running,
) -> list[Outcome]:
    parallel = running.parallel
    jobs = parallel.part.select(planned.jobs)
    if target is None and running.report:
        raise InputError("--report needs an output: add -o")
    if planned.batch and parallel.scheduler is not None and "scheduler" in verb.request.declared():
        # The verb itself divides one item; many are divided here.
        request = request.model_copy(update={"scheduler": None})

    record: Record | None = None
    if planned.batch and target is not None:
        record = Record(target, f"{verb.domain} {verb.name}")

    def item(job: Job) -> Item:
        return Item(
            job,
            request,
            saves=target is not None,
            batch=planned.batch,
            overwrite=running.overwrite,
            report=running.report,
            record=record,
        )

    outputs = [path for job in jobs for path in item(job).outputs(verb)]
    folders = sorted({path.parent for path in outputs})
    _settle(folders)
    if record is not None:
        check_names(record.folder, outputs)
    if planned.batch:
        for folder in [] if target is None else [target, *folders]:
            make_folder(folder)
    elif target is not None:
        verb.target.check(outputs, running.overwrite)

    def tell(outcome: Outcome) -> None:
        if outcome.cause is not None and running.debug:
            traceback.print_exception(outcome.cause, file=sys.stderr)
        if outcome.error is not None:
            if record is not None:
                record.failure(outcome)
            hint = "" if isinstance(outcome.cause, SciddmError) else " (--debug shows where)"
            said = spoken(outcome.cause) if outcome.cause is not None else ""
            say("error", (said or outcome.error) + hint)
        for warning in outcome.warnings:
            say("warning", f"{outcome.job.source.name}: {warning}")

    if planned.batch and parallel.divides:
        tasks = [Task(Address.of(verb), item(job), running.debug) for job in jobs]
        outcomes = divided(verb, tasks, parallel, tell)
        _settle(folders)  # what workers left that were lost
    else:
        if planned.batch and (running.overwrite or any(not p.exists() for p in outputs)):
            with verb.on_device(request):
                verb.prepare(request)
        numbers = {job: number for number, job in enumerate(jobs, start=1)}

        def attempt(job: Job) -> Outcome:
            number = f"{numbers[job]}/{len(jobs)} " if planned.batch else ""
            title = f"{number}{job.source.name}"
            return item(job).attempt(verb, partial(progress_bar, title))

        outcomes = run(jobs, attempt, finished=lambda job: item(job).earlier(verb), after=tell)
    if record is not None:
        record.close(outcomes)
    return outcomes


def _settle(folders: Iterable[Path]) -> None:
    for folder in folders:
        for sentence in recover(folder):
            say("note", sentence)


def _plan(
    verb: Transform[..., Any, Any],
    inputs: Sequence[Path],
    target: Path | None,
    running: Running,
) -> Plan:
    source = verb.source
    if source is None:
        assert target is not None, "a verb without an input has an output"
        return Plan((Job(target, target),), batch=False)
    paths, any_list = with_lists(inputs)
    try:
        planned = plan(
            paths,
            Path() if target is None else target,
            read=source.suffixes,
            written=() if target is None else verb.target.suffixes,
            suffix=verb.target.suffix(running.form),
            whole=source.is_item,
            whole_kind=source.item,
            recursive=running.recursive,
            batch=any_list or running.parallel.part != WHOLE,
            folders=running.watch,
        )
    except InputError as error:
        # A folder may hold nothing of this domain and something of another.
        if len(paths) != 1 or not paths[0].is_dir():
            raise
        raise advised(error, paths[0], verb.domain, verb.name) from error
    if target is not None and verb.target.single and len(planned.jobs) > 1:
        raise InputError(f"{target}: one file for {len(planned.jobs)} inputs: give one input")
    return planned

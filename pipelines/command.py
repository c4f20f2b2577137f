"""The body all verbs share: plan, check, do, tell, exit code.

Exit codes: 0 all is well; 1 some files of a batch failed, or sciddm itself did; 2 the input, the
output or an option is unusable, and nothing was written.
"""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import typer

from sciddm.data_adapters import isolation
from sciddm.data_adapters.commit import BusyError, claim, recover
from sciddm.errors import OutputError, SciddmError
from sciddm.pipelines.engine.batch import Job, Outcome, make_folder, plan, run
from sciddm.pipelines.engine.console import output, progress_bar, say
from sciddm.pipelines.engine.summary import document, show
from sciddm.progress import Progress

__all__ = ["DEBUG", "execute", "repeat"]

#: Context key under which the root command keeps --debug.
DEBUG = "debug"
#: Options that say how to run, not what to make.
_INCIDENTAL = frozenset(
    {"as_json", "report", "overwrite", "threads", "form", "pixels", "scheduler"}
)


def execute(
    context: typer.Context,
    inputs: Sequence[Path],
    target: Path,
    *,
    work: Callable[[Job, bool, Progress], Outcome],
    outputs_of: Callable[[Path], Sequence[Path]],
    check: Callable[[Sequence[Path], bool], None],
    request: dict[str, Any],
    read: Sequence[str],
    written: Sequence[str],
    suffix: str | None,
    overwrite: bool,
    as_json: bool,
    prepare: Callable[[], Any] = lambda: None,
    whole: Callable[[Path], bool] = lambda folder: False,
    whole_kind: str = "",
) -> None:
    """Runs a verb on its inputs and ends the command with its exit code.

    Args:
        context: of the command, for --debug.
        inputs: files and folders.
        target: file or folder.
        work: makes the outputs of one job; told whether it may replace existing ones.
        outputs_of: everything `work` will write for a main output; among it a .json with the
            attributes of the result, by which finished work is known.
        check: raises OutputError for outputs that cannot be written, or exist and may not be
            replaced; called before anything is computed.
        request: the options that decide the content of an output, as `work` stores them in its
            attribute `request`.
        read: suffixes of inputs.
        written: suffixes of outputs.
        suffix: suffix of outputs in a folder; None for that of each input.
        overwrite: redo what exists.
        as_json: print the JSON document instead of the table.
        prepare: called once before a batch of which something is left to do; its errors end the
            command, as those of a model that does not exist should.
        whole: whether a folder is one data set; see `batch.plan`.
        whole_kind: what such a folder is called.
    """
    planned = plan(
        inputs,
        target,
        read=read,
        written=written,
        suffix=suffix,
        whole=whole,
        whole_kind=whole_kind,
    )
    jobs = planned.jobs
    debug = bool(context.find_root().meta.get(DEBUG))
    isolation.prepare()  # loads while the model does

    def finished(job: Job) -> Outcome | None:
        if overwrite or not planned.batch:
            return None
        return _finished(job, outputs_of(job.target), request)

    for folder in sorted({job.target.parent for job in jobs}):
        for sentence in recover(folder):
            say("note", sentence)
    if planned.batch:
        make_folder(target)
        if overwrite or any(not all(p.exists() for p in outputs_of(j.target)) for j in jobs):
            prepare()
    else:
        check(outputs_of(jobs[0].target), overwrite)

    def attempt(job: Job) -> Outcome:
        # What is left of an interrupted batch is ours, `finished` has seen to that.
        replace = overwrite or planned.batch
        paths = outputs_of(job.target)
        check(paths, replace)
        number = f"{jobs.index(job) + 1}/{len(jobs)} " if planned.batch else ""
        try:
            with claim(paths), progress_bar(f"{number}{job.source.name}") as progress:
                # Another process may have made it between the look and the claim.
                return finished(job) or work(job, replace, progress)
        except BusyError as busy:
            if not planned.batch:
                raise
            say("note", f"{job.source.name}: left to another process ({busy})")
            return Outcome(job, "skipped")

    def tell(outcome: Outcome) -> None:
        if outcome.cause is not None and debug:
            traceback.print_exception(outcome.cause, file=sys.stderr)
        if outcome.error is not None:
            hint = "" if isinstance(outcome.cause, SciddmError) else " (--debug shows where)"
            say("error", outcome.error + hint)
        for warning in outcome.warnings:
            say("warning", f"{outcome.job.source.name}: {warning}")

    outcomes = run(jobs, attempt, finished=finished, after=tell)
    failed = [o for o in outcomes if o.status == "failed"]
    if as_json:
        command = shlex.join(["sciddm", *_arguments(context)])
        print(json.dumps(document(outcomes, command), indent=2))
    elif planned.batch or not failed:
        show(outcomes, output())
    if failed:
        unusable = not planned.batch and isinstance(failed[0].cause, SciddmError)
        raise typer.Exit(2 if unusable else 1)


def repeat(
    context: typer.Context, job: Job, leave_out: Collection[str] = (), *, positional: bool = True
) -> str:
    """The command that makes a job's outputs again: every option that is not at its default.

    Args:
        context: of the command.
        job: takes the place of its inputs and output.
        leave_out: parameters that do not belong into it.
        positional: the job's input is an argument, not an option.
    """
    source = [str(job.source)] if positional else []
    words = ["sciddm", *context.command_path.split()[1:], *source, "-o", str(job.target)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        skipped = {"inputs", "target", *_INCIDENTAL, *leave_out}
        if parameter.param_type_name != "option" or parameter.name in skipped:
            continue
        if value is None or (value == parameter.default and parameter.name != "seed"):
            continue
        name = max(parameter.opts, key=len)
        if value is True:
            words.append(name)
        elif value is not False:
            words += [name, str(getattr(value, "value", value))]
    return shlex.join(words)


def _finished(job: Job, outputs: Sequence[Path], request: dict[str, Any]) -> Outcome | None:
    """The outcome of a job whose outputs are there already, None where work is left.

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
    stored: Any = None
    for path in there:
        if path.suffix == ".json":
            try:
                stored = json.loads(path.read_text())
            except (OSError, ValueError):
                stored = None
    if not isinstance(stored, dict) or "sciddm_version" not in stored:
        raise OutputError(f"{there[0]}: exists and is incomplete or not ours (--overwrite)")
    if len(there) < len(outputs):
        return None
    made = stored.get("request")
    try:
        made = json.loads(made) if isinstance(made, str) else made
    except ValueError:
        made = None
    outcome = Outcome(job, "skipped", outputs=there)
    if isinstance(made, dict) and made != json.loads(json.dumps(request)):
        keys = sorted(k for k in {*made, *request} if made.get(k) != request.get(k))
        outcome.warnings.append(
            f"kept {job.target}, which was made with another {', '.join(keys)} "
            "(--overwrite makes it again)"
        )
    else:
        say("note", f"{job.source.name}: done already, kept {job.target}")
    return outcome


def _arguments(context: typer.Context) -> list[str]:
    arguments = context.find_root().meta.get("arguments", [])
    return [str(a) for a in arguments]

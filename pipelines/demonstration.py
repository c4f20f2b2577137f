"""What every `sciddm demo DOMAIN` does with the files it has simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sciddm.pipelines.engine.batch import Job, Outcome, run
from sciddm.pipelines.engine.console import output, progress_bar, say
from sciddm.pipelines.engine.summary import Fact, show

__all__ = ["show_job"]


def show_job(
    source: Path,
    target: Path,
    work: Callable[..., Outcome],
    options: dict[str, Any],
    command: str,
    *,
    page: Path,
    simulated: Iterable[Path],
    facts: Callable[[], Iterable[Fact]] = tuple,
    verb: str = "see",
) -> None:
    """Runs one job as its command line would, and shows how it ended.

    Args:
        source: the simulated input.
        target: the main output; earlier ones are replaced.
        work: the domain's ``(job, options, *, command, report, overwrite, progress) -> Outcome``.
        options: of the job, as the command line collects them.
        command: the command line that does the same, without its `--report --overwrite`.
        page: the report.
        simulated: files written before, named among the outputs.
        facts: what to tell beyond the job's own facts, as the agreement with the truth, which
            only a simulation knows; called when the job is done.
        verb: what one does with the page, for the last line.

    Raises:
        SciddmError: what made the job fail.
    """
    with progress_bar("demo") as progress:
        [outcome] = run(
            [Job(source, target)],
            lambda job: work(
                job,
                options,
                command=f"{command} --report --overwrite",
                report=True,
                overwrite=True,
                progress=progress,
            ),
            finished=lambda job: None,
        )
    if outcome.cause is not None:
        raise outcome.cause
    for warning in outcome.warnings:
        say("warning", warning)
    outcome.facts.update((fact.key, fact) for fact in facts())
    outcome.outputs += simulated
    show([outcome], output())
    output().print(f"\nOpen {page} in a browser to {verb} it.")

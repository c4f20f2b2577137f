"""A batch that other processes do: looked through here, done there, told here."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any

from sciddm.errors import OptionError
from sciddm.pipelines.engine.batch import Job, Outcome, one_line
from sciddm.pipelines.engine.verb import Transform
from sciddm.pipelines.engine.workers.board import Board, board
from sciddm.pipelines.engine.workers.cluster import on_scheduler
from sciddm.pipelines.engine.workers.devices import threads_each, visible_gpus
from sciddm.pipelines.engine.workers.parallel import Parallel, Patience
from sciddm.pipelines.engine.workers.pool import on_workers
from sciddm.pipelines.engine.workers.task import Preparation, Task
from sciddm.pipelines.engine.workers.worker import Setup, measures_memory

__all__ = ["divided"]


def divided(
    verb: Transform[..., Any, Any],
    tasks: Sequence[Task],
    parallel: Parallel,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """The outcomes in the order of the tasks, whoever does them and whenever.

    Args:
        verb: what to do.
        tasks: on what.
        parallel: who does it.
        tell: called with every outcome as it comes.

    Raises:
        OptionError: this system lacks what an option needs.
        SciddmError: no item can be done with these options.
    """
    if parallel.scheduler is None and not hasattr(os, "fork"):  # no descriptors for a child
        raise OptionError("jobs", "this system has no worker processes: use --part in two windows")
    if parallel.memory is not None and not measures_memory():
        raise OptionError("memory", "this system does not tell what a process has: leave it out")
    outcomes: dict[Job, Outcome] = {}
    with board(len(tasks)) as line:

        def take(outcome: Outcome) -> None:
            outcomes[outcome.job] = outcome
            line.count(len(outcomes))
            tell(outcome)

        left = []
        for task in tasks:
            earlier = _earlier(verb, task)
            if earlier is None:
                left.append(task)
            else:
                take(earlier)
        if left:
            with closing(_done(left, parallel, line)) as stream:
                for outcome in stream:
                    take(outcome)
    return [outcomes[task.job] for task in tasks]


def _done(tasks: Sequence[Task], parallel: Parallel, line: Board) -> Generator[Outcome, None, None]:
    preparation = Preparation(tasks[0].address, tasks[0].item.request)
    if parallel.scheduler is not None:
        setup = Setup(parallel.threads, parallel.memory)
        return on_scheduler(
            parallel.scheduler, tasks, preparation, setup, parallel.tries, line, Patience()
        )
    count = min(parallel.jobs, len(tasks))
    # Of the workers that were asked for: the last item has no other digits than the first.
    threads = parallel.threads or threads_each(parallel.jobs)
    stated = getattr(tasks[0].item.request, "device", "auto")
    gpus = visible_gpus() if stated in ("auto", "cuda") else []
    setups = [
        Setup(threads, parallel.memory, gpus[k % len(gpus)] if gpus else None) for k in range(count)
    ]
    return on_workers(tasks, preparation, setups, parallel.tries, line)


def _earlier(verb: Transform[..., Any, Any], task: Task) -> Outcome | None:
    try:
        return task.item.earlier(verb)
    except Exception as error:  # whatever is wrong with one output, the others go on
        return Outcome(task.job, "failed", error=one_line(error), cause=error)

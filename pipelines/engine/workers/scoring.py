"""Pairs of references and estimates, compared by several processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any

from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.scores import Pair, Score

__all__ = ["Judge", "score_by_workers"]

_TRIES_ALONE = 2
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")


@dataclass(frozen=True)
class Judge:
    """Compares a pair in any process.

    Attributes:
        module: one whose ``DOMAIN`` has the verb.
        name: of the verb.
        request: its options.
        where: where the estimates are, for messages.
    """

    module: str
    name: str
    request: Request
    where: str

    def __call__(self, pair: Pair) -> Score:
        """The score of a pair; what is wrong with it is its error."""
        module: Any = sys.modules.get(self.module) or import_module(self.module)
        verb = next(v for v in module.DOMAIN.verbs if v.name == self.name)
        score: Score = verb.score(pair, self.request, self.where)
        return score


def score_by_workers(
    judge: Callable[[Pair], Score], pairs: Sequence[Pair], jobs: int
) -> list[Score]:
    """The scores in the order of the pairs, the same as those of one process.

    A process that is lost costs time only. A pair that costs it twice, alone, has that as error.

    Args:
        judge: compares a pair; can be pickled.
        pairs: what is compared.
        jobs: processes.
    """
    with _share_of_threads(jobs):
        scores = _tried(judge, pairs, jobs)
        for number, pair in enumerate(pairs):
            # Whose fault a lost process was shows only where a pair is alone.
            for _ in range(_TRIES_ALONE):
                if scores[number] is None:
                    (scores[number],) = _tried(judge, [pair], 1)
    return [
        score or Score(pair[0], error=f"{pair[0]}: the process that compared it ended, twice")
        for pair, score in zip(pairs, scores, strict=True)
    ]


def _tried(judge: Callable[[Pair], Score], pairs: Sequence[Pair], jobs: int) -> list[Score | None]:
    """The scores; None for pairs whose process was lost, and for those after it."""
    context = get_context("spawn")  # a copy of a process with torch's threads is no whole one
    scores: list[Score | None] = [None] * len(pairs)
    with suppress(BrokenProcessPool), ProcessPoolExecutor(min(jobs, len(pairs)), context) as pool:
        futures: dict[Future[Score], int] = {}
        for number, pair in enumerate(pairs):
            futures[pool.submit(judge, pair)] = number
        for future in as_completed(futures):
            scores[futures[future]] = future.result()
    return scores


@contextmanager
def _share_of_threads(jobs: int) -> Iterator[None]:
    """Processes that start now have their share of the processors, unless the user gave one."""
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    names = [f"{library}_NUM_THREADS" for library in _LIBRARIES]
    new_names = [name for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(new_names, share))
    try:
        yield
    finally:
        for name in new_names:
            del os.environ[name]

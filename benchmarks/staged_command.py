"""Runs a command line in this process and prints the processor seconds of its stages, as JSON.

    python -m benchmarks.staged_command WORDS ...

Stages are disjoint: start-up (imports until the command line is read), reading, forward (network
evaluations without a gradient, and those that VJPs start from), VJP, the rest of the computation
(estimates, operators, solvers, judgement) and writing with all else. Child processes count.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["STAGES"]

STAGES = (
    "start-up",
    "reading",
    "forward",
    "VJP",
    "rest of the computation",
    "writing and all else",
)


def _used() -> float:
    own, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class _Clock:
    """Seconds of each stage, without those of the stages inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = [0.0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose seconds count for a stage."""

        @wraps(function)
        def work(*args: Any, **kwargs: Any) -> Any:
            start = _used()
            self._inside.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                total = _used() - start
                own = total - self._inside.pop()
                self.seconds[stage] = self.seconds.get(stage, 0.0) + own
                self._inside[-1] += total

        return work


def _run(words: list[str]) -> None:
    from sciddm.pipelines.cli import app

    clock = _Clock()
    from sciddm.pipelines.engine.request import NetworkRequest
    from sciddm.pipelines.engine.source import Source
    from sciddm.pipelines.engine.verb import Transform

    begin = Transform.result

    def result(self: Any, given: Any, request: Any, context: Any) -> Any:
        if isinstance(request, NetworkRequest):  # others need no torch
            _watch(clock)
        self.compute = clock.timed("rest of the computation", self.compute)
        return begin(self, given, request, context)

    Transform.result = result  # type: ignore[method-assign]
    Source.data = clock.timed("reading", Source.data)  # type: ignore[method-assign]
    start = _used()
    code = app(words, standalone_mode=False)
    if code:
        sys.exit(f"{' '.join(words)}: exit code {code}")
    total = _used()
    stages = {"start-up": start} | clock.seconds
    stages["writing and all else"] = total - sum(stages.values())
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(stages | {"total": total, "gib": gib}))


def _watch(clock: _Clock) -> None:
    """Networks and their VJPs, which are imported late."""
    from sciddm import denoiser
    from sciddm.priors import predictor, segmenter

    for kind, names in (
        (denoiser.NetworkDenoiser, ("_evaluate",)),
        (predictor.Predictor, ("forward",)),
        (segmenter.Segmenter, ("logits",)),
    ):
        for name in names:
            setattr(kind, name, clock.timed("forward", getattr(kind, name)))
    denoiser.VJP.__call__ = clock.timed("VJP", denoiser.VJP.__call__)  # type: ignore[method-assign]


if __name__ == "__main__":
    _run(sys.argv[1:])

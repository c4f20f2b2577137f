"""The verb ``evaluate``: estimates against references."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from sciddm.errors import InputError
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.scores import Columns, Score, Scores, pairs, score_pairs
from sciddm.pipelines.engine.verb import Verb

__all__ = ["Comparison"]

P = ParamSpec("P")
R = TypeVar("R", bound=Request)
D = TypeVar("D")


class Comparison(Verb[P, R], Generic[P, R, D]):
    """References and estimates in, scores out.

    Args:
        request: see ``Verb``.
        open: reads one reference or estimate.
        items: what a path holds by its name without suffix, and whether it is a folder of them.
        compare: fills in the score of a pair; its errors are told, and the others go on. The
            reference is None where none is needed and none is given.
        columns: metrics in their order: heading and format of each.
        kind: what one is called in messages.
        overall: measures of all pairs together that are no means; called with the pairs' scores.
        flags: further flags of reference and estimate, for older command lines.
        needs_reference: there is nothing to measure without one.
        name: see ``Verb``.
    """

    _returns = "Scores"

    def __init__(
        self,
        request: Callable[P, R],
        *,
        open: Callable[[Path, R], D],
        items: Callable[[Path], tuple[Mapping[str, Path], bool]],
        compare: Callable[[D | None, D, Score, R], None],
        columns: Columns,
        kind: str,
        overall: Callable[[list[Score]], Mapping[str, float]] = lambda scores: {},
        flags: tuple[str, str] = ("", ""),
        needs_reference: bool = True,
        name: str = "evaluate",
    ) -> None:
        self.open = open
        self.items = items
        self.compare = compare
        self.columns = columns
        self.kind = kind
        self.overall = overall
        self.flags = flags
        self.needs_reference = needs_reference
        super().__init__(request, name)

    def _parameters(self) -> list[inspect.Parameter]:
        kind = inspect.Parameter.POSITIONAL_ONLY
        empty = inspect.Parameter.empty if self.needs_reference else None
        first = inspect.Parameter("reference", kind, default=empty)
        second = inspect.Parameter("estimate", kind)
        return [first, second] if self.needs_reference else [second, first]

    def __call__(
        self,
        first: D | str | Path,
        second: D | str | Path | None = None,
        /,
        *args: P.args,
        **options: P.kwargs,
    ) -> Scores:
        if self.needs_reference:
            if second is None:
                raise InputError(f"{self.__name__} takes a reference and an estimate")
            return self.scores(first, second, self.request.of(options))
        return self.scores(second, first, self.request.of(options))

    def scores(self, reference: Any, estimate: Any, request: R) -> Scores:
        """The scores of all pairs.

        Args:
            reference: a path, a folder of them, data, or None.
            estimate: likewise, never None.
            request: the options.

        Raises:
            InputError: nothing to compare.
        """

        def compare(left: Any, right: Any, score: Score) -> None:
            data = self._data(right, request)
            assert data is not None
            self.compare(self._data(left, request), data, score, request)

        where = "the estimates"
        found: list[tuple[str, Any, Any]]
        if isinstance(estimate, str | Path):
            where = str(estimate)
            if isinstance(reference, str | Path):
                found = [*pairs(Path(reference), Path(estimate), self.items, self.kind)]
            elif reference is None:
                mine, _ = self.items(Path(estimate))
                if not mine:
                    raise InputError(f"{estimate}: the folder holds no {self.kind}")
                found = [(name, None, path) for name, path in mine.items()]
            else:
                found = [(Path(estimate).name, reference, estimate)]
        else:
            found = [(self.kind, reference, estimate)]
        scores = score_pairs(found, compare, kind=self.kind, where=where)
        return Scores(scores, self.columns, self.kind, dict(self.overall(scores)))

    def _data(self, given: Any, request: R) -> D | None:
        if given is None:
            return None
        return self.open(Path(given), request) if isinstance(given, str | Path) else given

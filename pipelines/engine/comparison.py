"""The verb ``evaluate``: estimates against references."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import named_items, stem
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.scores import Columns, Pair, Score, Scores, pairs, score_pair
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.engine.verb import Verb

__all__ = ["Comparison", "agreement"]

P = ParamSpec("P")
R = TypeVar("R", bound=Request)
D = TypeVar("D")


class Comparison(Verb[P, R], Generic[P, R, D]):
    """References and estimates in, scores out.

    Args:
        request: see ``Verb``.
        source: what is read: references and estimates.
        compare: fills in the score of a pair: called with reference, estimate, score, and the
            options by their names. Its errors are told, and the others go on. The reference is
            None where none is needed and none is given.
        columns: metrics in their order: heading and format of each.
        kind: what one is called in messages.
        beside: endings of what lies beside an estimate and is none itself, such as "_std".
        overall: measures of all pairs together that are no means; called with the pairs' scores.
        flags: further flags of reference and estimate, for older command lines.
        needs_reference: there is nothing to measure without one.
        judges_input: an input of the domain's verbs is of the same kind as an estimate.
        name: see ``Verb``.
    """

    _returns = "Scores"

    def __init__(
        self,
        request: Callable[P, R],
        *,
        source: Source[D, R],
        compare: Callable[..., None],
        columns: Columns,
        kind: str,
        beside: tuple[str, ...] = (),
        overall: Callable[[list[Score]], Mapping[str, float]] = lambda scores: {},
        flags: tuple[str, str] = ("", ""),
        needs_reference: bool = True,
        judges_input: bool = True,
        name: str = "evaluate",
    ) -> None:
        self.source = source
        self.compare = compare
        self.columns = columns
        self.kind = kind
        self.beside = beside
        self.overall = overall
        self.flags = flags
        self.needs_reference = needs_reference
        self.judges_input = judges_input
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

    def scores(self, reference: Any, estimate: Any, request: R, jobs: int = 1) -> Scores:
        """The scores of all pairs.

        Args:
            reference: a path, a folder of them, data, or None.
            estimate: likewise, never None.
            request: the options.
            jobs: processes that share the pairs of folders.

        Raises:
            InputError: nothing to compare.
        """
        if reference is None and self.needs_reference:
            raise InputError(f"{self.domain} {self.name} compares with a reference: give one")

        where = "the estimates"
        found: list[Pair]
        if isinstance(estimate, str | Path):
            where = str(estimate)
            if isinstance(reference, str | Path):
                found = [*pairs(Path(reference), Path(estimate), self._items, self.kind)]
            elif reference is None:
                mine, _ = self._items(Path(estimate))
                if not mine:
                    raise InputError(f"{estimate}: the folder holds no {self.kind}")
                found = [(name, None, path) for name, path in mine.items()]
            else:
                found = [(Path(estimate).name, reference, estimate)]
        else:
            found = [(self.kind, reference, estimate)]
        if min(jobs, len(found)) > 1:
            from sciddm.pipelines.engine.workers.scoring import Judge, score_by_workers

            judge = Judge(self.request.__module__, self.name, request, where)
            scores = score_by_workers(judge, found, jobs)
        else:
            scores = [self.score(pair, request, where) for pair in found]
        return Scores(scores, self.columns, self.kind, dict(self.overall(scores)))

    def score(self, pair: Pair, request: R, where: str) -> Score:
        """The score of one pair; what is wrong with it is its error.

        Args:
            pair: what is compared.
            request: the options.
            where: where the estimates are, for messages.
        """

        def compare(left: Any, right: Any, score: Score) -> None:
            data = self._data(right, request)
            assert data is not None
            self.compare(self._data(left, request), data, score, **request.without())

        return score_pair(pair, compare, kind=self.kind, where=where)

    def counterpart(self, reference: Path, *names: Path) -> Path:
        """The reference itself, or the one of the same name where it is a folder of them.

        Args:
            reference: one, or a folder.
            names: paths whose name without suffix it may have, the likelier first.

        Raises:
            InputError: the folder holds none of these names.
        """
        items, many = self._items(reference)
        if not many:
            return reference
        stems = list(dict.fromkeys(stem(path, self.source.suffixes) for path in names))
        for name in stems:
            if name in items:
                return items[name]
        raise InputError(f"{reference}: holds no {self.kind} named {' or '.join(stems)}")

    def _items(self, path: Path) -> tuple[Mapping[str, Path], bool]:
        return named_items(path, self.source.suffixes, self.source.is_item, self.beside)

    def _data(self, given: Any, request: R) -> D | None:
        return None if given is None else self.source.data(given, request)[0]


def agreement(
    verb: Comparison[..., Any, Any],
    truth: Any,
    estimates: Mapping[str, Path],
    columns: Columns,
    **options: Any,
) -> Iterator[Fact]:
    """What a demo tells: how well its input and its result agree with the truth.

    Args:
        verb: measures it.
        truth: the reference, a path or data.
        estimates: from a word for each to its file.
        columns: what is told: name and format of each metric.
        options: of the verb.
    """
    request = verb.request.of(options)
    for label, path in estimates.items():
        [score] = verb.scores(truth, path, request).scores
        for key, (words, form) in columns.items():
            if key in score.values:
                value = score.values[key]
                yield Fact(f"{label}_{key}", f"{words}, {label}", value, form.format(value))

"""A verb of a domain: one function for Python and one command, from one declaration."""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from sciddm.errors import InputError
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.hints import advised
from sciddm.pipelines.engine.progress_bar import progress_bar
from sciddm.pipelines.engine.request import ImageRequest, NetworkRequest, Request
from sciddm.pipelines.engine.words import command

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.data_adapters.label_masks import LabelMask
    from sciddm.pipelines.engine.comparison import Comparison
    from sciddm.pipelines.engine.regions import Grid
    from sciddm.pipelines.engine.report.page import Report
    from sciddm.pipelines.engine.result import Result
    from sciddm.pipelines.engine.source import Source
    from sciddm.pipelines.engine.summary import Fact
    from sciddm.pipelines.engine.target import Target

__all__ = ["Transform", "Verb"]

P = ParamSpec("P")
R = TypeVar("R", bound=Request)
D = TypeVar("D")
Q = ParamSpec("Q")
S = TypeVar("S", bound=Request)


class _Missing(Enum):
    """No data: of a verb that has no input."""

    MISSING = 0


_MISSING = _Missing.MISSING


class Verb(ABC, Generic[P, R]):
    """What all verbs have.

    Args:
        request: class of the options. Its docstring is the help text.
        name: on the command line; that of the class with dashes if empty.
    """

    def __init__(self, request: Callable[P, R], name: str = "") -> None:
        # A class: its parameters, which type checkers see as P, are the verb's own.
        self.request = cast("type[R]", request)
        self.name = name or _dashed(self.request.__name__)
        self.domain = ""
        self.__name__ = self.name.replace("-", "_")
        self.__doc__ = self._documentation()
        self.__signature__ = inspect.Signature(
            [*self._parameters(), *self.request.signature()], return_annotation=self._returns
        )

    _returns = "Result"

    @property
    def help(self) -> str:
        """The text of ``--help``."""
        return inspect.cleandoc(self.request.__doc__ or "")

    @abstractmethod
    def _parameters(self) -> list[inspect.Parameter]:
        """Parameters of the Python function that are no options."""

    @contextmanager
    def on_device(self, request: R) -> Iterator[str]:
        """Computes on the request's device within the context, and gives its name.

        A verb that runs no network stays on the CPU, and its name is empty.

        Raises:
            OptionError: there is no such device, or its memory does not suffice.
        """
        if not isinstance(request, NetworkRequest):
            yield ""
            return
        from sciddm import acceleration
        from sciddm.device import resolve, use
        from sciddm.pipelines.engine.exhaustion import memory_advice

        device = resolve(request.device)
        following = acceleration.use(request.accelerate)
        with use(device), following, memory_advice(request, str(device)):
            yield str(device)

    def _documentation(self) -> str:
        lines = [self.help, "", "Args:"]
        lines += [f"    {p.name}: see above." for p in self._parameters()]
        for name, declared in self.request.declared().items():
            if not declared.option.hidden:
                lines.append(f"    {name}: {declared.option.help}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<sciddm.{self.domain}.{self.__name__}{self.__signature__}>"


class Transform(Verb[P, R], Generic[P, R, D]):
    """Data in, a result out: in Python from data or a path, on the command line file by file.

    Args:
        request: see ``Verb``.
        name: see ``Verb``.
        source: what is read; None for a verb that makes its result from its options alone.
        compute: the work. Whatever decides the result happens here, so that Python and the command
            line agree bit by bit.
        target: what is written.
        facts: what is worth telling of a result, for the terminal and the JSON.
        page: the report; None for a verb without one.
        prepare: raises for a request that no input can satisfy, such as a model that does not
            exist; called once before a batch.
        listing: a table of one result that is printed below its facts: its header and rows.
        estimate: name of the estimate among the variables of the result.
        std: name of its standard deviation.
        grid: shape (layer, y, x) and place of the estimate of some data, as far as they are plain
            before it is computed; for verbs whose request is an ``ImageRequest``.
        each_layer: layers are bands or frames, whose regions are told one by one.
    """

    def __init__(
        self,
        request: Callable[P, R],
        *,
        compute: Callable[[D, R, Context], xr.Dataset],
        target: Target[R],
        source: Source[D, R] | None,
        facts: Callable[[xr.Dataset], Iterable[Fact]],
        page: Callable[[D, xr.Dataset], Report] | None = None,
        prepare: Callable[[R], object] = lambda request: None,
        listing: Callable[[xr.Dataset], tuple[Sequence[str], Sequence[Sequence[str]]]]
        | None = None,
        estimate: str = "estimate",
        std: str = "std",
        grid: Callable[[D, R], Grid | None] = lambda data, request: None,
        each_layer: bool = False,
        name: str = "",
    ) -> None:
        self.source = source
        super().__init__(request, name)
        self.compute = compute
        self.target = target
        self.facts = facts
        self.page = page
        self.prepare = prepare
        self.listing = listing
        #: What compares a result with a ground truth: the domain's `evaluate`.
        self.comparison: Comparison[..., Any, Any] | None = None
        self.estimate = estimate
        self.std = std
        self.grid, self.each_layer = grid, each_layer

    def of(self, request: Callable[Q, S]) -> Transform[Q, S, D]:
        """The same work with a request that has other defaults.

        Args:
            request: a subclass of this verb's.
        """
        parts = cast(Any, self)
        return Transform(
            request,
            compute=parts.compute,
            target=parts.target,
            source=parts.source,
            facts=self.facts,
            page=self.page,
            prepare=parts.prepare,
            listing=self.listing,
            estimate=self.estimate,
            std=self.std,
            grid=parts.grid,
            each_layer=self.each_layer,
        )

    def _parameters(self) -> list[inspect.Parameter]:
        if self.source is None:
            return []
        return [inspect.Parameter("data", inspect.Parameter.POSITIONAL_ONLY)]

    def __call__(
        self, data: D | str | Path | _Missing = _MISSING, /, *args: P.args, **options: P.kwargs
    ) -> Result:
        return self.call(() if data is _MISSING else (data,), options)

    def call(self, data: tuple[Any, ...], options: Mapping[str, Any]) -> Result:
        """The result of a call from Python, with a progress bar where somebody can see it."""
        request = self.request.of(options)
        if len(data) != (self.source is not None):
            count = 0 if self.source is None else 1
            raise InputError(f"{self.__name__} takes {count} input, {len(data)} are given")
        with self.on_device(request), progress_bar(self.__name__) as progress:
            self.prepare(request)
            return self.result(data[0] if data else None, request, Context(progress))

    def result(self, given: Any, request: R, context: Context) -> Result:
        """Reads, computes and stamps; the same for Python and the command line.

        Args:
            given: data or a path; ignored by a verb without a source.
            request: the options.
            context: of this computation.
        """
        from sciddm.pipelines.engine.regions import add_regions
        from sciddm.pipelines.engine.result import Result
        from sciddm.pipelines.engine.stamp import hash_of_data, hash_of_files, stamp

        start = time.perf_counter()
        path: Path | None = None
        data: Any = None
        sha256 = ""
        if self.source is not None:
            context.progress(0, 1, "reading")
            path = Path(given) if isinstance(given, str | Path) else None
            try:
                data, path = self.source.data(given, request)
            except InputError as error:
                if path is None:
                    raise
                raise advised(error, path, self.domain, self.name) from error
            sha256 = (
                hash_of_data(data)
                if path is None
                else hash_of_files(self.source.files(path, request))
            )
            context.source = path.name if path is not None else "the data"
        context.identity = {"request": request.stored(), "input": sha256}
        if context.target is not None:
            self.target.fits(data, context.target)
        mask = self._mask(data, request)
        with self.on_device(request) as device:
            dataset = self.compute(data, request, context)
        if mask is not None:
            add_regions(dataset, mask, self.estimate, self.std, each_layer=self.each_layer)
        words = command(
            (self.domain, self.name),
            request,
            path,
            context.target,
            option="" if self.source is None else self.source.option,
            has_source=self.source is not None,
        )
        dataset.attrs.update(
            stamp(
                command=words,
                request=request.stored(),
                seconds=time.perf_counter() - start,
                source=context.source if self.source is not None else "",
                sha256=sha256,
                device=device,
            )
        )
        return Result(dataset, self, request, data=data, source=path, context=context)

    def _mask(self, data: Any, request: R) -> LabelMask | None:
        """The regions of a request, whose grid is checked as far as it is plain already."""
        roi = request.roi if isinstance(request, ImageRequest) else None
        if roi is None:
            return None
        from sciddm.data_adapters.label_masks import check_grid, read_labels

        mask, grid = read_labels(roi), self.grid(data, request)
        if grid is not None:
            check_grid(mask, grid.shape, grid.attrs, each_layer=self.each_layer)
        return mask


def _dashed(name: str) -> str:
    """``EstimateNoise`` as ``estimate-noise``."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

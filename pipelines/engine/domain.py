"""A domain: its verbs and its demo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.verb import Transform, Verb

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.engine.summary import Fact

__all__ = ["Demo", "Domain", "Example"]


@dataclass(frozen=True)
class Example:
    """What a demo has simulated.

    Attributes:
        source: the simulated input.
        target: the main output.
        simulated: all files that were written.
        options: of the verb, beside the quality.
        truth: what is known of the result's agreement with the truth, once it is there.
        reference: the file of the truth, for the report; None where there is none.
    """

    source: Path
    target: Path
    simulated: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    truth: Callable[[], Iterable[Fact]] = tuple
    reference: Path | None = None


@dataclass(frozen=True)
class Demo:
    """A measurement that needs no file, and what is done with it.

    Attributes:
        verb: what is done.
        simulate: writes the input into a folder; earlier files of the same names are replaced.
        note: what is simulated, in words.
        page: what one does with the page: see, or see and hear.
    """

    verb: Transform[..., Any, Any]
    simulate: Callable[[Path], Example]
    note: str
    page: str = "see"


@dataclass(frozen=True)
class Domain:
    """The verbs of one kind of measurement.

    Attributes:
        name: on the command line and in Python.
        help: one line.
        verbs: in the order of the help.
        demo: what ``sciddm demo NAME`` does.
        recognises: whether a file or folder is this domain's, by a quick look (suffix, a few
            bytes, names of data sets); never raises.
        open: reads one, as ``sciddm.open`` gives it back.
    """

    name: str
    help: str
    verbs: tuple[Verb[..., Any], ...]
    demo: Demo | None = None
    recognises: Callable[[Path], bool] = field(default=lambda path: False)
    open: Callable[[Path], xr.Dataset | xr.DataArray] | None = None

    def __post_init__(self) -> None:
        comparison = next((verb for verb in self.verbs if isinstance(verb, Comparison)), None)
        for verb in self.verbs:
            verb.domain = self.name
            if isinstance(verb, Transform):
                verb.comparison = comparison

    def names(self) -> list[str]:
        """The verbs as they are called in Python, ``__dir__`` of the domain's module."""
        return [verb.__name__ for verb in self.verbs]

"""What a verb writes: which files, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sciddm.data_adapters.commit.targets import check_outputs

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Saving", "Target"]

R = TypeVar("R")
_BESIDE = (".json", ".html", ".hdr")


@dataclass(frozen=True)
class Saving(Generic[R]):
    """What a writer may need to know beside the result.

    Attributes:
        request: the options.
        source: the file that the result was made from, None for data in memory.
        at: from each output to where it is written now, under the same name.
    """

    request: R
    source: Path | None
    at: dict[Path, Path]


def _check(paths: Iterable[Path], overwrite: bool) -> None:
    check_outputs(paths, overwrite)


def _fits(data: object, path: Path) -> None:
    pass


def _none(path: Path, request: object) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class Target(Generic[R]):
    """The outputs of a verb.

    Attributes:
        outputs: all that ``save`` may write for a main output: that first, the JSON file last.
        save: writes a result to ``saving.at`` of the main output and of what lies beside it. The
            paths in ``at`` have the names of the outputs and lie together, so that a writer that
            names its files after the main one can be used as it is. What it does not write is left
            out.
        suffixes: of outputs that are files; the first is what a batch writes by default.
        help: of the option --output.
        formats: what --format may be; none where there is only one.
        follow: a batch writes each output in the format of its input.
        series: suffix of the files of an output that is a folder of them, as a DICOM series is:
            any name but those of ``suffixes`` and of what lies beside; empty where there is none.
        optional: the verb is of use without an output, too.
        single: one file for one input, never a folder.
        pipe: suffix of a main output on standard output, named ``-``; empty where there can be
            none. What lies beside it is not written then.
        stale: outputs of other runs with the same main output; those that this one does not write
            go when it is overwritten.
        fits: raises OutputError where a format has no place for these data, before they are
            computed on: called with the data and the main output.
        check: raises OutputError where outputs cannot be written, or exist and may not be replaced.
    """

    outputs: Callable[[Path, R], Sequence[Path]]
    save: Callable[[xr.Dataset, Path, Saving[R]], None]
    suffixes: tuple[str, ...]
    help: str = "File, its suffix choosing the format; a folder for several inputs."
    formats: tuple[str, ...] = ()
    follow: bool = False
    series: str = ""
    optional: bool = False
    single: bool = False
    pipe: str = ""
    stale: Callable[[Path, R], Sequence[Path]] = field(default=_none)
    fits: Callable[[Any, Path], None] = field(default=_fits)
    check: Callable[[Sequence[Path], bool], None] = field(default=_check)

    def series_of(self, path: Path) -> str:
        """Suffix of the files of an output that is a folder of them; empty for a file."""
        name = path.name.lower()
        return "" if name.endswith((*self.suffixes, *_BESIDE)) else self.series

    def suffix(self, form: str | None) -> str | None:
        """Suffix of outputs in a folder; None for that of each input.

        Args:
            form: one of ``formats``, None for the default. "dicom" is a folder without a suffix.
        """
        if form is None:
            return None if self.follow else self.suffixes[0]
        return "" if form == "dicom" else f".{form}"

"""A result in the user's hands: numbers, verdict, files, page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sciddm.data_adapters.commit import commit
from sciddm.errors import InputError, OutputError, SciddmError
from sciddm.pipelines.engine.agreement import agreement_facts, agreement_rows, measured_agreement
from sciddm.pipelines.engine.batch import one_line, stem
from sciddm.pipelines.engine.intervals import Interval, errors_of
from sciddm.pipelines.engine.regions import region_facts, region_table
from sciddm.pipelines.engine.summary import Fact, warnings_of
from sciddm.pipelines.engine.target import Saving
from sciddm.pipelines.engine.verdicts import answer_text, plain, questions
from sciddm.uncertainty.verdict import Verdict

if TYPE_CHECKING:
    import xarray as xr

    from sciddm.pipelines.engine.context import Context
    from sciddm.pipelines.engine.report.page import Report
    from sciddm.pipelines.engine.request import Request
    from sciddm.pipelines.engine.scores import Score
    from sciddm.pipelines.engine.verb import Transform

__all__ = ["Result", "outputs_of"]


def outputs_of(
    verb: Transform[..., Any, Any], target: Path, request: Request, report: bool
) -> list[Path]:
    """All outputs of a verb for a main output, that first, the page last.

    Raises:
        OutputError: a report is asked of a verb that has none, or the target's suffix is unknown.
    """
    paths = [Path(p) for p in verb.target.outputs(target, request)]
    if report:
        if verb.page is None:
            raise OutputError(f"{target}: `{verb.name}` has no report: leave --report out")
        paths.append(target.with_name(f"{stem(target, verb.target.suffixes)}.html"))
    return paths


class Result:
    """What a verb gives back.

    Attributes:
        data: an xarray.Dataset with everything: ``estimate`` and ``std`` (where the method has
            one), the variables and attributes that the domain's page of the documentation names.
        request: the options it was made with.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        verb: Transform[..., Any, Any],
        request: Request,
        *,
        data: Any,
        source: Path | None,
        context: Context,
    ) -> None:
        self._dataset, self._verb, self.request = dataset, verb, request
        self._input, self._source = data, source
        # Keeps the scratch files that lazy variables are read from.
        self._context = context
        self._remarks: list[str] = []
        self._report: Report | None = None
        self._scores: dict[str, Score] | None = None

    @property
    def data(self) -> xr.Dataset:
        """All variables, the estimate under the name ``estimate``, too."""
        dataset = self._dataset
        for name, own in (("estimate", self._verb.estimate), ("std", self._verb.std)):
            if own in dataset and name not in dataset:
                dataset = dataset.assign({name: dataset[own]})
        return dataset

    @property
    def estimate(self) -> xr.DataArray:
        """The estimate, with coordinates and units."""
        return self._dataset[self._verb.estimate].rename("estimate")

    @property
    def std(self) -> xr.DataArray | None:
        """The standard deviation of the estimate; None where the method has none."""
        if self._verb.std not in self._dataset:
            return None
        return self._dataset[self._verb.std].rename("std")

    @property
    def attrs(self) -> dict[Any, Any]:
        """All that repeats the run, and what was found."""
        return self._dataset.attrs

    @property
    def warnings(self) -> list[str]:
        """What must not be missed, one sentence each."""
        return [*warnings_of(self._dataset.attrs), *self._remarks]

    @property
    def verdict(self) -> Verdict:
        """Does it fit the data, is it calibrated, is the input familiar?"""
        return Verdict.from_attributes(self._dataset.attrs)

    @property
    def is_estimate(self) -> bool:
        """Whether there is anything to judge: not in a conversion or a simulation."""
        return self._verb.page is not None or "verdict" in self._dataset.attrs

    @property
    def facts(self) -> dict[str, Fact]:
        """What the command line prints, by the keys of its JSON."""
        found = [*self._verb.facts(self._dataset), *region_facts(self.attrs)]
        return {fact.key: fact for fact in found}

    def interval(
        self,
        function: Callable[[xr.DataArray], Any],
        level: float = 0.9,
        *,
        draws: int = 400,
        seed: int = 0,
    ) -> Interval:
        """The interval of anything that is read from the image.

        The function is taken of images x + e: x the estimate, e draws of its error, a Gaussian
        field with the result's standard deviation, which is calibrated, and the correlation between
        pixels that errors of the method have (``uncertainty.error_field``).

        Args:
            function: of an image like ``estimate``: the mean of a region, a volume above a
                threshold, a contrast, an index of bands, a profile. It gives a number or an array.
            level: probability that the interval holds the true value.
            draws: of the error.
            seed: of the draws.

        Returns:
            ``Interval`` with ``mean``, ``low``, ``high``, ``std`` and ``correlation``.

        Raises:
            InputError: a result without standard deviation or without calibrated errors.
            OptionError: a level or a number of draws that cannot be used.
        """
        errors = errors_of(self._dataset, self._verb.estimate, self._verb.std)
        return errors.interval(function, level, draws=draws, seed=seed)

    def save(
        self, path: str | Path, *, overwrite: bool = False, report: bool = False
    ) -> list[Path]:
        """Writes what the command line would write: all outputs, or none.

        Args:
            path: main output; its suffix chooses the format.
            overwrite: existing outputs may be replaced.
            report: write the HTML page, too.

        Returns:
            The outputs that were written, the main one first.

        Raises:
            OutputError: an output exists or cannot be written.
        """
        target, verb = Path(path), self._verb
        paths = outputs_of(verb, target, self.request, report)
        main, *others = paths
        for folder in dict.fromkeys(p.parent for p in others if p.parent != main.parent):
            raise OutputError(f"{folder}: outputs lie in one folder, that of {main}: name it")
        series = {p: verb.target.series_of(p) for p in paths if verb.target.series_of(p)}
        stale = verb.target.stale(target, self.request)
        stale = [p for p in stale if p not in paths and p.exists()]
        gone = stale if overwrite else []
        with commit([*others, main], overwrite, folders=series, remove=gone) as at:
            saving = Saving(self.request, self._source, dict(at))
            verb.target.save(self._dataset, target, saving)
            self._compare(at[target])
            page = self._page_or_remark() if report else None
            if page is not None:
                at[paths[-1]].write_text(page, encoding="utf-8")
        return [p for p in paths if p.exists()]

    def page(self) -> str:
        """The report as HTML text.

        Raises:
            InputError: the verb has none.
        """
        from sciddm.pipelines.engine.report.page import Table, render

        findings = self.verdict if self.is_estimate else None
        contents = self._contents()
        if self._scores is None and getattr(self.request, "reference", None) is not None:
            self._compare_apart()
        if self._scores and self._verb.comparison is not None:
            header, rows = agreement_rows(self._verb.comparison, self._scores)
            table = Table("Agreement with the reference", rows, header)
            contents = replace(contents, tables=[table, *contents.tables])
        return render(contents, findings, self.warnings, self.attrs)

    def picture(self) -> bytes | None:
        """A small JPEG of what the page shows first; None where that is no image.

        Raises:
            InputError: the verb has no report.
        """
        from sciddm.pipelines.engine.report.picture import picture

        return picture(self._contents())

    def _contents(self) -> Report:
        if self._verb.page is None:
            raise InputError(f"`{self._verb.name}` has no report")
        if self._report is None:
            report = self._verb.page(self._input, self._dataset)
            regions = region_table(self.attrs)
            tables = report.tables if regions is None else [regions, *report.tables]
            self._report = replace(report, tables=tables)
        return self._report

    @property
    def agreement(self) -> dict[str, Fact]:
        """What the ground truth gave, by the keys of the JSON; empty without one."""
        comparison = self._verb.comparison
        return {} if comparison is None else agreement_facts(comparison, self._scores or {})

    def _compare(self, estimate: Path) -> None:
        """Measures the estimate against the reference of the request, where it has one.

        A result is worth more than its metrics: what cannot be compared is remarked.
        """
        comparison = self._verb.comparison
        reference: Path | None = getattr(self.request, "reference", None)
        if comparison is None or reference is None:
            return
        try:
            self._scores = measured_agreement(comparison, reference, estimate, self._source)
        except SciddmError as error:
            self._scores = {}
            self._remarks.append(f"The reference could not be compared: {one_line(error)}")

    def _compare_apart(self) -> None:
        """Compares an estimate that is in no file: it is written into a folder of its own."""
        with TemporaryDirectory() as folder:
            target = Path(folder) / f"estimate{self._verb.target.suffixes[0]}"
            paths = [Path(p) for p in self._verb.target.outputs(target, self.request)]
            saving = Saving(self.request, self._source, {path: path for path in paths})
            self._verb.target.save(self._dataset, target, saving)
            self._compare(target)

    def _page_or_remark(self) -> str | None:
        """The page; a remark where it cannot be made: a result is worth more than its page."""
        try:
            return self.page()
        except Exception as error:
            self._remarks.append(
                f"The report could not be made ({one_line(error)}); the result is complete."
            )
            return None

    def report(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Writes the report as one HTML file.

        Raises:
            OutputError: the file exists or cannot be written.
        """
        path = Path(path)
        with commit([path], overwrite) as at:
            at[path].write_text(self.page(), encoding="utf-8")
        return path

    def plot(self, **index: int) -> Any:
        """A picture of the estimate and its standard deviation: a matplotlib Figure.

        Args:
            index: which plane of a volume, such as ``slice=3``; the middle one if not given.
        """
        from sciddm.pipelines.engine.plot import figure

        return figure(self.estimate, self.std, index)

    def to_dict(self) -> Mapping[str, Any]:
        """The facts, warnings and verdict as plain values."""
        return {
            **{key: fact.value for key, fact in self.facts.items()},
            "warnings": self.warnings,
            **({"verdict": plain(self.verdict)} if self.is_estimate else {}),
        }

    def __repr__(self) -> str:
        lines = [f"<sciddm {self._verb.domain} {self._verb.name}>"]
        lines += [f"  {fact.label}: {fact.text}" for fact in self.facts.values()]
        if self.is_estimate:
            lines += [f"  {q.label}: {answer_text(q.finding)}" for q in questions(self.verdict)]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The page, in a frame of its own, so that its style stays there."""
        if self._verb.page is None:
            return f"<pre>{escape(repr(self))}</pre>"
        return (
            f'<iframe srcdoc="{escape(self.page())}" width="100%" height="640" '
            'style="border: 0" title="sciddm"></iframe>'
        )

"""`sciddm hsi estimate-noise`: what is printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciddm import __version__
from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import Job, Outcome, one_line, plan, run
from sciddm.pipelines.engine.console import output, progress_bar, say
from sciddm.pipelines.engine.summary import jsonable, show
from sciddm.pipelines.hsi.describe import significant
from sciddm.pipelines.hsi.run import estimate_file

__all__ = ["estimate_files"]


def estimate_files(
    inputs: Sequence[Path],
    target: Path | None,
    read: Sequence[str],
    *,
    overwrite: bool,
    as_json: bool,
) -> bool:
    """Estimates the noise of scenes and prints it.

    Args:
        inputs: scenes, or folders of them.
        target: .json or .csv file, for one scene.
        read: suffixes of scenes.
        overwrite: an existing file may be replaced.
        as_json: a JSON document instead of tables.

    Returns:
        Whether all scenes could be read.

    Raises:
        InputError: the one scene is unusable, or one file is asked for several.
    """
    # Nothing is written for most uses: the plan only finds the scenes.
    jobs = plan(inputs, Path(), read=read, written=(), suffix=".json").jobs
    if target is not None and len(jobs) > 1:
        raise InputError(f"{target}: one file for {len(jobs)} scenes: give one scene")
    if target is not None and target.suffix.lower() not in (".json", ".csv"):
        raise InputError(f"{target}: the noise is written as .json or .csv: rename")
    numbers: dict[Path, dict[str, Any]] = {}

    def work(job: Job) -> Outcome:
        with progress_bar(job.source.name) as progress:
            outcome, numbers[job.source] = estimate_file(
                job.source, target, overwrite=overwrite, progress=progress
            )
        return outcome

    outcomes = run(jobs, work, finished=lambda job: None, after=_tell)
    failed = [o for o in outcomes if o.status == "failed"]
    if failed and len(jobs) == 1 and failed[0].cause is not None:
        raise failed[0].cause
    if as_json:
        results = [
            {"input": str(o.job.source), "error": o.error, **numbers.get(o.job.source, {})}
            for o in outcomes
        ]
        content = {"sciddm_version": __version__, "results": results}
        print(json.dumps(jsonable(content), indent=2))
        return not failed
    if len(jobs) == 1:
        _show_bands(next(iter(numbers.values())))
    show(outcomes, output())
    return not failed


def _tell(outcome: Outcome) -> None:
    if outcome.error is not None:
        say("error", one_line(outcome.cause) if outcome.cause is not None else outcome.error)


def _show_bands(numbers: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    wavelength = numbers.get("wavelength_nm")
    for name in ("band", "nm" if wavelength else "", "noise", "SNR", "dead / %", "stripes"):
        if name:
            table.add_column(name, justify="right")
    columns = ("noise_std", "signal_to_noise", "dead_share", "striped_columns")
    for b, (sigma, ratio, dead, stripes) in enumerate(
        zip(*(numbers[c] for c in columns), strict=True)
    ):
        cells = [str(b + 1)] + ([f"{wavelength[b]:.1f}"] if wavelength else [])
        if sigma != sigma:
            table.add_row(*cells, "empty")
            continue
        told = [significant(sigma), f"{ratio:.1f}", f"{100 * dead:.2f}", f"{stripes:.0f}"]
        table.add_row(*cells, *told)
    output().print(table)

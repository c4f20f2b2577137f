"""One file in, its outputs out: what `sciddm ultrasound dehaze` does with each scan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciddm.data_adapters.ultrasound import open_frames
from sciddm.data_adapters.ultrasound.result import check_format, dehazed_outputs, save_dehazed
from sciddm.pipelines.engine.batch import Job, Outcome, with_page
from sciddm.pipelines.engine.report.page import write
from sciddm.pipelines.engine.summary import done, jsonable
from sciddm.pipelines.engine.unfinished import Unfinished
from sciddm.pipelines.ultrasound.describe import facts
from sciddm.pipelines.ultrasound.pipeline import UltrasoundDehazing
from sciddm.pipelines.ultrasound.report import ultrasound_report
from sciddm.progress import Progress

__all__ = ["dehaze_file", "load_pipeline", "outputs"]

_STATED = ("fs", "fc", "c", "kind", "axes", "pitch")


def outputs(path: Path, report: bool) -> list[Path]:
    """All that dehazing writes for a main output."""
    return with_page(dehazed_outputs(path), report)


def load_pipeline(tissue: str | None, haze: str | None) -> UltrasoundDehazing:
    """The pipeline with these models; None for the bundled ones."""
    return UltrasoundDehazing(tissue, haze)


def dehaze_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Dehazes a scan and writes the outputs, all of them or none.

    Frames that were finished when an earlier run of the same was stopped are not made again.

    Args:
        job: the scan and the main output.
        options: tissue_model, haze_model, quality, gamma, guidance, samples, seed, range_db, and
            what the user states of the file (fs, fc, c, kind, axes, pitch).
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    start = time.perf_counter()
    scan = open_frames(job.source, {k: options.get(k) for k in _STATED})
    check_format(scan, job.target)
    pipeline = load_pipeline(options["tissue_model"], options["haze_model"])
    models = pipeline.load(scan.attrs["kind"])
    stat = job.source.stat()
    weights = [models.tissue.weights_sha256, models.haze.weights_sha256]
    key = {**options, "source": str(job.source.resolve()), "weights": weights}
    unfinished = Unfinished(job.target, {**key, "bytes": stat.st_size, "time": stat.st_mtime_ns})
    clip = scan.sizes["frame"] > 1
    if clip:
        unfinished.open()
    result = pipeline(
        scan,
        quality=options["quality"],
        gamma=options["gamma"],
        guidance=options["guidance"],
        samples=options["samples"],
        seed=options["seed"],
        range_db=options["range_db"],
        store=unfinished if clip else None,
        progress=progress,
    )
    seconds = round(time.perf_counter() - start, 3)
    result.attrs |= {"command": command, "request": jsonable(options), "seconds": seconds}
    progress(1, 1, "writing")
    save_dehazed(result, job.target, result.attrs, source=job.source, overwrite=overwrite)
    if report:
        page = ultrasound_report(result, command=command)
        write(page, job.target.with_suffix(".html"), overwrite=overwrite)
    if clip:
        unfinished.close()
    return done(job, facts(result), outputs(job.target, report), result.attrs)

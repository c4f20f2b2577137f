"""One file in, its outputs out: what the verbs of `sciddm hsi` do with each scene."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sciddm
from sciddm.data_adapters.checks import existing_file, reading
from sciddm.data_adapters.hsi import open_cube
from sciddm.data_adapters.hsi.result import load_denoised, result_outputs, save_denoised
from sciddm.data_adapters.staging import check_outputs, staged
from sciddm.errors import InputError
from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.report.page import write
from sciddm.pipelines.engine.summary import jsonable, warnings_of
from sciddm.pipelines.hsi.assemble import Canvas, in_file, in_memory
from sciddm.pipelines.hsi.describe import facts, noise_facts
from sciddm.pipelines.hsi.methods.build import method_class
from sciddm.pipelines.hsi.pipeline import HyperspectralDenoising
from sciddm.pipelines.hsi.report import hsi_report
from sciddm.pipelines.hsi.survey import Scene, survey
from sciddm.progress import Progress

__all__ = ["denoise_file", "estimate_file", "given_noise", "outputs"]

#: Canvases up to so many bytes stay in memory.
_IN_MEMORY = 2**27


def outputs(path: Path, method: str, report: bool) -> list[Path]:
    """All that denoising writes for a main output.

    Args:
        path: the denoised cube.
        method: which decides whether there is a standard deviation.
        report: with the HTML page.
    """
    page = [path.with_suffix(".html")] if report else []
    return [*result_outputs(path, spread=method_class(method).has_std), *page]


def given_noise(stated: str | None, bands: int) -> float | NDArray[np.float64] | None:
    """The noise a user states: a number, or a .json file that `estimate-noise` wrote.

    Raises:
        InputError: neither, or a file for another number of bands.
    """
    if stated is None:
        return None
    try:
        return float(stated)
    except ValueError:
        path = existing_file(stated)
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        values = [np.nan if v is None else float(v) for v in content["noise_std"]]
    if len(values) != bands:
        raise InputError(f"{path}: noise of {len(values)} bands, but the cube has {bands}")
    return np.asarray(values)


def denoise_file(
    job: Job,
    options: Mapping[str, Any],
    *,
    command: str,
    report: bool,
    pixels: Sequence[tuple[int, int]] = (),
    scheduler: str | None = None,
    overwrite: bool,
    progress: Progress,
) -> Outcome:
    """Denoises a scene and writes the outputs, all of them or none, in constant memory.

    Args:
        job: the scene and the main output.
        options: method, model, quality, samples, seed, noise_std, tile.
        command: what makes the same again; kept with the result.
        report: write the HTML page.
        pixels: (line, sample) whose spectra the page shows, besides those it chooses.
        scheduler: address of a dask scheduler.
        overwrite: existing outputs may be replaced.
        progress: is told how far it is.
    """
    progress(0, 1, "reading")
    start = time.perf_counter()
    scene = Scene(open_cube(job.source))
    for line, sample in pixels:
        if not (0 <= line < scene.lines and 0 <= sample < scene.samples):
            raise InputError(
                f"--pixel {line},{sample}: the scene has {scene.lines} lines and {scene.samples} "
                "samples, counted from 0"
            )
    noise_std = given_noise(options["noise_std"], scene.bands)
    pipeline = HyperspectralDenoising(options["method"], options["model"])
    # Beside the result, where there must be room for it anyway.
    with tempfile.TemporaryDirectory(prefix=".sciddm-", dir=job.target.parent) as folder:

        def canvas(name: str, shape: tuple[int, int, int], kind: str) -> Canvas:
            small = np.dtype(kind).itemsize * int(np.prod(shape)) <= _IN_MEMORY
            return in_memory(shape, kind) if small else in_file(Path(folder) / name, shape, kind)

        cube = pipeline.scene(
            scene,
            canvas,
            quality=options["quality"],
            samples=options.get("samples"),
            seed=options["seed"],
            noise_std=noise_std,
            fill=bool(options.get("fill", False)),
            tile=options["tile"],
            scheduler=scheduler,
            progress=progress,
        )
        attrs = {k: v for k, v in cube.attrs.items() if k not in scene.dataset.attrs}
        seconds = round(time.perf_counter() - start, 3)
        attrs |= {"command": command, "request": jsonable(options), "seconds": seconds}
        attrs["source"] = job.source.name
        progress(1, 1, "writing")
        cube.attrs = dict(scene.dataset.attrs)
        save_denoised(cube, job.target, attrs, overwrite=overwrite)
    if report:
        result = load_denoised(job.target)
        page = hsi_report(scene.dataset, result, attrs, pixels=pixels, command=command)
        write(page, job.target.with_suffix(".html"), overwrite=overwrite)
    return Outcome(
        job,
        "done",
        facts=facts(scene.dataset, attrs),
        outputs=[p for p in outputs(job.target, options["method"], report) if p.exists()],
        warnings=warnings_of(attrs),
    )


def estimate_file(
    source: Path, target: Path | None, *, overwrite: bool, progress: Progress
) -> tuple[Outcome, dict[str, Any]]:
    """Estimates the noise of a scene.

    Args:
        source: the scene.
        target: .json or .csv file for the numbers of all bands; None for no file.
        overwrite: an existing one may be replaced.
        progress: is told how far it is.

    Returns:
        The outcome, and the numbers: bands (names), wavelength_nm where it is known, noise_std,
        signal_to_noise (mean over sigma), dead_share, striped_columns, each per band, NaN for bands
        that hold nothing.

    Raises:
        InputError: an unusable scene.
        OutputError: the file cannot be written.
    """
    if target is not None:
        check_outputs([target], overwrite)
    scene = Scene(open_cube(source))
    known = survey(scene, progress=progress)
    pixels = max(1, known.moments.count)
    columns: dict[str, NDArray[Any]] = {
        "noise_std": known.noise.sigma,
        "signal_to_noise": known.moments.mean * known.scale / known.noise.sigma,
        "dead_share": known.dead / pixels,
        "striped_columns": (known.noise.stripes != 0).sum(axis=1).astype(float),
    }
    numbers: dict[str, Any] = {"source": source.name, "sciddm_version": sciddm.__version__}
    if "wavelength" in scene.dataset.coords:
        numbers["wavelength_nm"] = [float(w) for w in scene.dataset["wavelength"].values]
    for name, values in columns.items():
        whole = np.full(scene.bands, np.nan)
        whole[known.used] = values
        numbers[name] = [float(v) for v in whole]
    if target is not None:
        with staged([target], overwrite) as at:
            at[target].write_text(_as_text(numbers, target.suffix.lower()), encoding="utf-8")
    told = noise_facts(
        scene.dataset,
        np.asarray(numbers["noise_std"]),
        float(known.dead.sum()) / pixels / max(1, len(known.dead)),
        int((known.noise.stripes != 0).sum()),
        [int(b) for b in np.flatnonzero(~known.used)],
    )
    job = Job(source, target if target is not None else source)
    written = [target] if target is not None else []
    return Outcome(job, "done", facts=told, outputs=written), numbers


def _as_text(numbers: Mapping[str, Any], suffix: str) -> str:
    if suffix != ".csv":
        return json.dumps(jsonable(numbers), indent=2) + "\n"
    lists = {k: v for k, v in numbers.items() if isinstance(v, list)}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["band", *lists])
    for number, row in enumerate(zip(*lists.values(), strict=True), start=1):
        writer.writerow([number, *(f"{v:.9g}" for v in row)])
    return buffer.getvalue()

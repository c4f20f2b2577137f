"""A seventh domain: thermometers. Adapter, pipeline, page and demo, all that a domain writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr

from sciddm.data_adapters.attributes import sidecar
from sciddm.errors import InputError, OptionError
from sciddm.pipelines.engine.comparison import Comparison
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.domain import Demo, Domain, Example
from sciddm.pipelines.engine.option import Option, Quality, Seed
from sciddm.pipelines.engine.report.page import Chart, Curve, Report, Section, Verdict
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.scores import Score
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform

SUFFIXES = (".txt",)


class Smooth(Request):
    """Smooth a temperature series by a moving average of noisy draws."""

    width: Annotated[int, Option("Width of the window.", ge=1)] = 3
    draws: Annotated[int | None, Option("Draws; the quality decides if not given.", ge=2)] = None
    quality: Quality = "balanced"
    seed: Seed = 0
    unit: Annotated[str, Option("What is told of the unit.", incidental=True)] = "K"

    def check(self) -> None:
        if self.width % 2 == 0:
            raise OptionError("width", f"{self.width} is given, take an odd number")


def read(path: Path, request: Request) -> xr.Dataset:
    try:
        values = np.loadtxt(path, ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: no series of numbers: give one number a line") from error
    return xr.Dataset({"raw": ("time", values)}, coords={"time": np.arange(len(values))})


def smooth(data: xr.Dataset, request: Smooth, context: Context) -> xr.Dataset:
    count = request.draws or {"fast": 4, "balanced": 8, "best": 16}[request.quality]
    rng = np.random.default_rng(request.seed)
    kernel = np.full(request.width, 1 / request.width)
    draws = []
    for k in range(count):
        noisy = data["raw"].values + 0.1 * rng.standard_normal(data.sizes["time"])
        draws.append(np.convolve(noisy, kernel, mode="same"))
        context.progress(k + 1, count, "drawing")
    warnings = ["The series is short."] if data.sizes["time"] < 5 else []
    result = data.assign(smoothed=("time", np.mean(draws, 0)), std=("time", np.std(draws, 0)))
    result["smoothed"].attrs["units"] = "K"
    return result.assign_attrs(draws=count, warnings=json.dumps(warnings))


def outputs(path: Path, request: Request) -> list[Path]:
    return [path, path.with_name(f"{path.stem}_std.txt"), path.with_suffix(".json")]


def save(result: xr.Dataset, path: Path, saving: Saving[Smooth]) -> None:
    main, std, about = (saving.at[p] for p in outputs(path, saving.request))
    np.savetxt(main, result["smoothed"].values)
    np.savetxt(std, result["std"].values)
    about.write_text(sidecar(result.attrs, "result", "0"), encoding="utf-8")


def facts(result: xr.Dataset) -> Iterator[Fact]:
    mean = float(result["smoothed"].mean())
    yield Fact("mean_k", "mean", mean, f"{mean:.2f} K")


def page(data: xr.Dataset, result: xr.Dataset) -> Report:
    curve = Curve("smoothed", result["time"].values, result["smoothed"].values)
    section = Section("Series", [Chart("Temperature", [curve], "time", "K")])
    return Report("Series", "toy", Verdict("good", "Fine."), [section], [], result.attrs["command"])


class Evaluate(Request):
    """Measure series against references."""


def compare(reference: xr.Dataset, estimate: xr.Dataset, score: Score) -> None:
    score.values["rmse"] = float(np.sqrt(((estimate["raw"] - reference["raw"]) ** 2).mean()))


def simulate(folder: Path) -> Example:
    source = folder / "series.txt"
    np.savetxt(source, np.linspace(270, 280, 9))
    return Example(source, folder / "smooth.txt", (source,), {"width": 5})


SOURCE = Source(read, SUFFIXES, "Series, or a folder of them.")
TARGET = Target(outputs, save, SUFFIXES)
smooth_verb = Transform(
    Smooth, compute=smooth, target=TARGET, source=SOURCE, facts=facts, page=page,
    estimate="smoothed",
)  # fmt: skip
COLUMNS = {"rmse": ("RMSE / K", "{:.3f}")}
evaluate = Comparison(Evaluate, source=SOURCE, compare=compare, columns=COLUMNS, kind="series")
DOMAIN = Domain("toy", "Thermometers.", (smooth_verb, evaluate), Demo(smooth_verb, simulate, "9 K"))

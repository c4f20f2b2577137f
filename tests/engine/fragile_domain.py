"""A domain whose items can end their process: a number is squared, a word is obeyed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr

from sciddm.data_adapters.attributes import sidecar
from sciddm.errors import InputError, ModelError
from sciddm.pipelines.engine.context import Context
from sciddm.pipelines.engine.domain import Domain
from sciddm.pipelines.engine.option import Option
from sciddm.pipelines.engine.request import Request
from sciddm.pipelines.engine.source import Source
from sciddm.pipelines.engine.summary import Fact
from sciddm.pipelines.engine.target import Saving, Target
from sciddm.pipelines.engine.verb import Transform


class Square(Request):
    """Square a number."""

    model: Annotated[str, Option("Model.")] = "good"
    log: Annotated[Path | None, Option("Where every start is written.", incidental=True)] = None


def read(path: Path, request: Square) -> xr.Dataset:
    words = path.read_text().split()
    if words[:1] == ["bad"]:
        raise InputError(f"{path}: holds no number")
    return xr.Dataset(
        {"raw": ("x", [float(words[0])])}, attrs={"words": words[1:], "at": str(path)}
    )


def square(data: xr.Dataset, request: Square, context: Context) -> xr.Dataset:
    if request.log is not None:
        with request.log.open("a") as file:
            file.write(f"{data.attrs['at']} {os.getpid()}\n")
    match data.attrs["words"]:
        case ["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["dies", "once"]:
            mark = Path(f"{data.attrs['at']}.mark")
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        case ["grows"]:
            held = []
            while True:
                held.append(np.ones(2**19))
                time.sleep(0.01)
        case ["waits", seconds]:
            end = time.monotonic() + float(seconds)
            while time.monotonic() < end:
                context.progress(1, 2, "waiting")
                time.sleep(0.05)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    attrs = {"warnings": ["It is large."] if data["raw"].item() > 8 else [], "threads": threads}
    return xr.Dataset({"estimate": data["raw"] ** 2}, attrs=attrs)


def outputs(path: Path, request: Request) -> list[Path]:
    return [path, path.with_suffix(".json")]


def save(result: xr.Dataset, path: Path, saving: Saving[Square]) -> None:
    main, about = (saving.at[p] for p in outputs(path, saving.request))
    np.savetxt(main, result["estimate"].values)
    about.write_text(sidecar(result.attrs, "result", "0"), encoding="utf-8")


def facts(result: xr.Dataset) -> Iterator[Fact]:
    value = result["estimate"].item()
    yield Fact("square", "square", value, f"{value:g}")
    yield Fact("device", "device", os.environ.get("CUDA_VISIBLE_DEVICES", ""), "")


def prepare(request: Square) -> None:
    if request.model != "good":
        raise ModelError(f"{request.model}: no such model")


square_verb = Transform(
    Square, compute=square, target=Target(outputs, save, (".txt",)),
    source=Source(read, (".txt",), "Numbers."), facts=facts, prepare=prepare,
)  # fmt: skip
DOMAIN = Domain("fragile", "Numbers.", (square_verb,))

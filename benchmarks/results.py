"""What a method made of a problem, as a file; made again only if the problem or the method changed.

A result is reused when the problem's data (``Problem.digest``) and the method's ``key`` (its
settings, its weights' hash, its package's version) are those it was made with.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import Problem

#: Name of a method on the real scan without the help of its truth.
TUNED = "{} (tuned on simulations)"


@dataclass
class Result:
    """A method's answer.

    Attributes:
        image: (y, x) magnitude in the reference's units; of a recording its waveform (time,).
        seconds: wall time of this case on this machine, preparation (maps, noise) included.
        nfe: network evaluations, all samples together; 0 without a network.
        nvjp: vector-Jacobian products, likewise.
        settings: parameters used.
        extra: other numbers, such as coverage.
    """

    image: NDArray[np.float32]
    seconds: float
    nfe: int = 0
    nvjp: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)


def load_result(folder: Path, method: str, problem: str) -> Result:
    with np.load(folder / method / f"{problem}.npz") as file:
        return Result(file["image"], **json.loads(str(file["info"]))["result"])


def cached(
    folder: Path, method: str, problem: Problem, key: Any, make: Callable[[], Result]
) -> Result:
    """The stored result of ``method`` on ``problem``, made first where it is missing or stale."""
    path = folder / method / f"{problem.info['name']}.npz"
    stamp = json.dumps([problem.digest(), key], sort_keys=True, default=str)
    if path.exists():
        with np.load(path) as file:
            if json.loads(str(file["info"]))["stamp"] == stamp:
                return load_result(folder, method, problem.info["name"])
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {k: v for k, v in vars(result).items() if k != "image"}
    info = json.dumps({"stamp": stamp, "result": fields})
    np.savez(path, image=result.image.astype(np.float32), info=info)
    return result

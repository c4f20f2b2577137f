"""Tuning and testing of posterior samplers on the oracles, the same for ours and for peers'.

Each method has a list of settings, the same list wherever two libraries have the same method. For
each problem the setting with the smallest mean distance over the tuning data (20 steps) is taken,
and run on the test data, which are others. Cost: evaluations of the denoiser and vector-Jacobian
products of one draw, each counted as one forward.

Rows are appended to a CSV file; those that are there already are not measured again.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.sampler_oracles import Problem, problems, sliced_w2
from sciddm.ledger import tally

__all__ = ["GRIDS", "RESULTS", "STEPS", "Method", "Row", "levels", "measure", "read"]

RESULTS = Path(__file__).parent / "results" / "samplers.csv"
CHAINS = 400
STEPS = (10, 20, 50)
TUNING = ((21, 23), (22, 24))  # seeds of image and noise
TESTS = ((11, 13), (31, 33))

Setting = tuple[float, ...]

#: Settings by method; () where there is nothing to choose.
GRIDS: dict[str, Sequence[Setting]] = {
    "dps": [(v,) for v in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)],
    "diffpir": [(v,) for v in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "flowdps": [(v,) for v in (0.1, 0.3, 1.0, 3.0, 10.0)],
    "mmps": [(1,), (3,), (5,)],
    "dds": [(v,) for v in (0.1, 1.0, 10.0, 100.0)],
    "ddrm": [(v,) for v in (0.3, 0.5, 0.7, 0.85, 1.0)],
    "flowchef": [(v,) for v in (0.3, 1.0, 3.0)],
    "sitcom": [(v,) for v in (0.03, 0.1, 0.3, 1.0)],
    "red-diff": [(w, r) for w in (0.25, 1.0, 4.0) for r in (0.1, 0.5)],
    "stsl": [(z, e) for z in (0.1, 0.3, 1.0, 3.0, 10.0) for e in (0.02, 0.2)],
    "mgdm": [(v,) for v in (0.3, 0.6, 1.0)],
    "daps": [(3,), (5,)],
}
FIELDS = ("library", "method", "problem", "steps", "setting", "data", "forwards", "distance",
          "variance")  # fmt: skip

#: Ours has two kinds of steps for guidance: its last setting, 0 for the multistep SDE (2M), 1 for
#: ancestral steps, 2 for fresh noise in each (DiffPIR's zeta of 1).
STEPPED = ("dps", "diffpir", "mmps", "pigdm", "dds", "stsl")
#: DPS and STSL correct by a gradient of unit length, which is not smooth in the noise level: their
#: published steps are ancestral, and extrapolated ones are worse on the mean of the tuning data.
KINDS = {"diffpir": (0, 1, 2), "dps": (1,), "stsl": (1,)}

#: (problem, noise levels, setting) -> draws (B, 8)
Run = Callable[[Problem, Sequence[float], Setting], Tensor]


@dataclass(frozen=True)
class Method:
    """One library's version of a method; ``problems`` says which it takes, all if empty."""

    library: str
    name: str
    run: Run
    problems: tuple[str, ...] = ()

    @property
    def settings(self) -> Sequence[Setting]:
        """What is tried."""
        plain = GRIDS.get(self.name, [()])
        if self.library == "sciddm" and self.name in STEPPED:
            kinds = KINDS.get(self.name, (0, 1))
            return [(*setting, float(kind)) for setting in plain for kind in kinds]
        return plain


@dataclass(frozen=True)
class Row:
    """One run."""

    library: str
    method: str
    problem: str
    steps: int
    setting: str
    data: str
    forwards: float
    distance: float
    variance: float

    @property
    def key(self) -> tuple[str, ...]:
        """What it is the result of."""
        parts = (self.library, self.method, self.problem, self.steps, self.setting, self.data)
        return tuple(str(v) for v in parts)


def levels(steps: int) -> list[float]:
    """Karras's grid from 20 to .02."""
    low, high = 0.02 ** (1 / 7), 20.0 ** (1 / 7)
    return [(high + i / steps * (low - high)) ** 7 for i in range(steps + 1)]


def read(path: Path = RESULTS) -> list[Row]:
    """The rows of the file, [] if it is not there."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            Row(*[r[f] for f in FIELDS[:3]], int(r["steps"]), r["setting"], r["data"],
                *[float(r[f]) for f in FIELDS[6:]])
            for r in csv.DictReader(file)
        ]  # fmt: skip


def measure(methods: Sequence[Method], path: Path = RESULTS) -> None:
    """Tunes and tests; appends to the file."""
    there = {row.key: row for row in read(path)}
    sets = {seeds: problems(CHAINS, *seeds) for seeds in (*TUNING, *TESTS)}

    def result(m: Method, index: int, steps: int, setting: Setting, seeds: tuple[int, int]) -> Row:
        problem = sets[seeds][index]
        label = " ".join(f"{v:g}" for v in setting)
        data = f"{seeds[0]}-{seeds[1]}"
        trial = Row(m.library, m.name, problem.title, steps, label, data, 0.0, 0.0, 0.0)
        if trial.key in there:
            return there[trial.key]
        torch.manual_seed(5)
        with tally() as cost:
            draws = m.run(problem, levels(steps), setting).detach().double()
        good = bool(draws.isfinite().all())
        row = Row(
            *(m.library, m.name, problem.title, steps, label, data),
            (cost.nfe + cost.nvjp) / len(draws),
            sliced_w2(draws, problem.draws[: len(draws)]) if good else float("inf"),
            float(draws.var(0).sum()) / problem.variance if good else float("inf"),
        )
        there[row.key] = row
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(FIELDS)
            numbers = (f"{v:.5g}" for v in (row.forwards, row.distance, row.variance))
            writer.writerow([*row.key, *numbers])
        return row

    for m in methods:
        for index, problem in enumerate(sets[TESTS[0]]):
            if m.problems and problem.title not in m.problems:
                continue
            best = m.settings[0]
            if len(m.settings) > 1:
                mean = {
                    s: sum(result(m, index, 20, s, seeds).distance for seeds in TUNING)
                    for s in m.settings
                }
                best = min(mean, key=lambda s: mean[s])
            for steps in STEPS:
                rows = [result(m, index, steps, best, seeds) for seeds in TESTS]
                distances = " ".join(f"{r.distance:.3f}" for r in rows)
                print(m.library, m.name, problem.title, steps, best, distances, flush=True)

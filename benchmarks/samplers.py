"""Our posterior samplers beside azula's and deepinv's own, at equal cost, on exact posteriors.

    python -m benchmarks.samplers             ours, then the peers' in their environment
    python -m benchmarks.samplers --table     the table of what is measured already

Writes results/samplers.csv and results/samplers.md. Tuning is in ``sampler_runs``.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.sampler_oracles import Bulk, Problem
from benchmarks.sampler_runs import (
    CHAINS,
    RESULTS,
    STEPS,
    TESTS,
    TUNING,
    Method,
    Row,
    Setting,
    measure,
    read,
)
from sciddm.guidance import DDS, DPS, MMPS, STSL, DiffPIR, PiGDM
from sciddm.methods import POSTERIOR_SAMPLERS, Draw, Draws, Run, guided, stepped
from sciddm.sampling import (
    DDRM,
    MGDM,
    SITCOM,
    Ancestral,
    DPMSolver2M,
    FlowChef,
    ODESolve,
    Step,
    fresh,
    red_diff,
)

PARTICLES = 4
ROOT = Path(__file__).resolve().parents[1]
MARKDOWN = RESULTS.with_suffix(".md")


def variational(setting: Setting) -> Draw:
    """RED-diff of a weight and a rate."""

    def draw(run: Run) -> Draws:
        start = run.linear.prox(0 * run.x, run.prior.data_std**2)
        weight, rate = setting
        noise = run.streams
        x0 = red_diff(
            run.prior, run.linear, start, run.grid, generator=noise, rate=rate, weight=weight
        )
        return Draws(x0)

    return draw


def flow(run: Run, inner: int) -> ODESolve:
    """The end of the flow, down to the last level of the grid."""
    return ODESolve(run.prior, inner, sigma_min=float(run.prior.process.sigma(run.grid[-1])))


def kind_of(setting: Setting) -> Callable[[], Step]:
    """The step that the last setting names."""
    kinds: list[Callable[[], Step]] = [
        lambda: DPMSolver2M(sde=True),
        Ancestral,
        lambda: Ancestral(fresh),
    ]
    return kinds[int(setting[-1])]


TUNABLE: dict[str, Callable[[Setting], Draw]] = {
    "dps": lambda s: guided(lambda d, m: DPS(d, m, s[0]), step=kind_of(s)),
    "diffpir": lambda s: guided(lambda d, m: DiffPIR(d, m, s[0]), step=kind_of(s)),
    "pigdm": lambda s: guided(PiGDM, step=kind_of(s)),
    "mmps": lambda s: guided(lambda d, m: MMPS(d, m, int(s[0])), step=kind_of(s)),
    "dds": lambda s: guided(lambda d, m: DDS(d, m, s[0]), step=kind_of(s)),
    "stsl": lambda s: guided(lambda d, m: STSL(d, m, s[0], s[1]), step=kind_of(s)),
    "flowdps": lambda s: guided(
        lambda d, m: DiffPIR(d, m, s[0]), noise_from_prior=True, step=Ancestral
    ),
    "ddrm": lambda s: stepped(lambda run: DDRM(run.linear, s[0], data_std=run.prior.data_std)),
    "flowchef": lambda s: stepped(lambda run: FlowChef(run.measurement, s[0])),
    "sitcom": lambda s: stepped(lambda run: SITCOM(run.measurement, run.count, 10, s[0])),
    "mgdm": lambda s: stepped(lambda run: MGDM(run.measurement, 5, 10, rate=s[0])),
    "red-diff": variational,
    "daps": lambda s: stepped(
        lambda run: Ancestral(fresh), refined=True, prior=lambda run: flow(run, int(s[0]))
    ),
}


def ours(name: str) -> Method:
    """Our version of a method."""

    def run(problem: Problem, grid: Sequence[float], setting: Setting) -> Tensor:
        draw = TUNABLE[name](setting) if setting else POSTERIOR_SAMPLERS[name].draw
        x = grid[0] * torch.randn(CHAINS, 8, dtype=torch.float64)
        noise = Bulk(5)
        started = Run(problem.prior, problem.measurement, x, list(grid), PARTICLES, noise)  # type: ignore[arg-type]
        return draw(started).x0

    only = {"repaint": ("mask, noise .1",)}
    return Method("sciddm", name, run, only.get(name, ()))


HEAD = """# Posterior samplers at equal cost

Written by `make bench-samplers`; do not edit. Sliced Wasserstein-2 distance of {chains} draws to
the exact posterior, mean over {tests} sets of test data; two exact sets are the floor apart. Cost
is that of one draw in forwards of the network: one evaluation is one, and so is one vector-Jacobian
product (1.3 evaluations on the bundled brain prior, by `benchmarks.samplers_mri --price`). Settings
of every method of every library are tuned alike, on {tuning} other sets of data for each problem,
over the same list (`benchmarks/sampler_runs.py`). azula {azula} and deepinv {deepinv} run their own
code with the same denoiser. Guidance of ours is tried with multistep (2M) and ancestral steps, DPS
and STSL with ancestral ones alone, DiffPIR with fresh noise as well, which is deepinv's with zeta
1; theirs has its library's steps.

"""


def cells(rows: list[Row]) -> dict[tuple[str, str, str, int], tuple[float, float, float, str]]:
    """(library, method, problem, steps) -> mean distance, forwards, variance, setting."""
    rows = list({row.key: row for row in rows}.values())
    tests, tuned = ({f"{a}-{b}" for a, b in seeds} for seeds in (TESTS, TUNING))
    trials: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        if row.data in tuned:
            sums = trials.setdefault((row.library, row.method, row.problem), {})
            sums[row.setting] = sums.get(row.setting, 0.0) + row.distance
    best = {key: min(sums, key=sums.__getitem__) for key, sums in trials.items()}
    groups: dict[tuple[str, str, str, int], list[Row]] = {}
    for row in rows:
        setting = best.get((row.library, row.method, row.problem), row.setting)
        if row.data in tests and row.setting == setting:
            key = (row.library, row.method, row.problem, row.steps)
            groups.setdefault(key, []).append(row)
    out = {}
    for key, group in groups.items():
        n = len(group)
        out[key] = (
            sum(r.distance for r in group) / n,
            group[0].forwards,
            sum(r.variance for r in group) / n,
            group[0].setting,
        )
    return out


def table(rows: list[Row]) -> str:
    """results/samplers.md."""
    table_cells = cells(rows)
    titles = list(dict.fromkeys(row.problem for row in rows))
    text = HEAD.format(
        chains=CHAINS, tests=len(TESTS), tuning=len(TUNING), azula="0.11.1", deepinv="0.5.0"
    )
    lines = [*text.splitlines()]
    lines += ["## Our methods beside the peers' versions", ""]
    lines += [
        "Each cell: distance at 10, 20, 50 steps (variance over the exact one at 50). Bold where",
        "a peer is better by more than .02 at 20 or 50 steps for no more forwards.",
        "",
        "| method | library | forwards at 20 steps | " + " | ".join(titles) + " |",
        "|---|---|---|" + "---|" * len(titles),
    ]
    methods = list(dict.fromkeys(m for _, m, _, _ in table_cells))
    shared = [m for m in methods if len({k[0] for k in table_cells if k[1] == m}) > 1]
    worse: list[str] = []
    for m in [*shared, *[m for m in methods if m not in shared]]:
        for library in ("sciddm", "azula", "deepinv"):
            if not any(k[0] == library and k[1] == m for k in table_cells):
                continue
            parts, price = [], ""
            for title in titles:
                values = [table_cells.get((library, m, title, n)) for n in STEPS]
                if any(v is None for v in values):
                    parts.append("")
                    continue
                price = f"{values[1][1]:.0f}"  # type: ignore[index]
                distances = " / ".join(f"{v[0]:.3f}" for v in values if v is not None)
                ahead = False
                for n in STEPS[1:]:
                    mine, other = (
                        table_cells.get(("sciddm", m, title, n)),
                        table_cells.get((library, m, title, n)),
                    )
                    fair = bool(mine and other and other[1] <= 1.05 * mine[1])
                    if library != "sciddm" and fair and other[0] < mine[0] - 0.02:
                        ahead = True
                        worse.append(
                            f"`{m}`, {title}, {n} steps: {library} {other[0]:.3f} with "
                            f"{other[1]:.0f} forwards, ours {mine[0]:.3f} with {mine[1]:.0f}"
                        )
                mark = "**" if ahead else ""
                parts.append(f"{mark}{distances}{mark} ({values[2][2]:.1f})")  # type: ignore[index]
            lines.append(f"| `{m}` | {library} | {price} | " + " | ".join(parts) + " |")
    lines += ["", "## Where a peer's version is better at equal cost", ""]
    lines += [f"- {line}" for line in worse] or ["Nowhere by more than .02."]
    lines += ["", "## Best of all within a budget", ""]
    lines += [
        "Smallest distance of any method at no more than so many forwards a draw.",
        "",
        "| problem | 25 | 50 | 100 | 250 |",
        "|---|---|---|---|---|",
    ]
    for title in titles:
        row = []
        for budget in (25, 50, 100, 250):
            fits = [(v[0], k) for k, v in table_cells.items() if k[2] == title and v[1] <= budget]
            if fits:
                value, key = min(fits)
                row.append(f"{key[0]} `{key[1]}` {value:.3f}")
            else:
                row.append("")
        lines.append(f"| {title} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--methods", nargs="+", default=list(POSTERIOR_SAMPLERS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.table:
        measure([ours(name) for name in arguments.methods if name != "mmps-adaptive"])
        subprocess.run(["bash", "benchmarks/peers_samplers.sh"], cwd=ROOT, check=True)
        python = ROOT / ".venv-peers-samplers" / "bin" / "python"
        subprocess.run([python, "-m", "benchmarks.sampler_peers"], cwd=ROOT, check=True)
    MARKDOWN.write_text(table(read()))
    print(f"wrote {MARKDOWN}")


if __name__ == "__main__":
    main()

"""All methods against the exact answer: writes docs/methods.md.

    python -m benchmarks.methods [--chains 500] [--only smc tmpd]

Solvers: the end of the probability flow of a mixture in one dimension, sigma 10 to .05 on a
log-uniform grid, 41 starts, root mean squared error. Posterior samplers: four problems with a
mixture of six Gaussians in eight dimensions and four data, whose posterior is again a mixture;
sliced Wasserstein distance of the draws to exact ones, sigma 20 to .02 (Karras, rho 7). Settings
are those of the registry, the same for all problems. One processor, minutes; with ``--only`` the
rows of other samplers stay those of the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.sampler_oracles import F64, Bulk, Problem, normal, problems, sliced_w2
from sciddm.ledger import tally
from sciddm.methods import POSTERIOR_SAMPLERS, SOLVERS, PosteriorSampler, Run
from sciddm.oracles import GaussianDenoiser, MixtureDenoiser
from sciddm.physics import Matrix, Measurement
from sciddm.posterior import Posterior
from sciddm.process import EDM
from sciddm.sampling import DPMSolver3S, Step, karras, log_snr, sample

DOCS = Path(__file__).resolve().parents[1] / "docs" / "methods.md"
PARTICLES = 4


# Solvers ----------------------------------------------------------------------------------------


def solver_errors(steps: tuple[int, ...] = (8, 16, 32, 64)) -> dict[str, list[float]]:
    """Rms error of each deterministic solver at the end of the flow."""
    prior = MixtureDenoiser(
        EDM(),
        torch.tensor([0.3, 0.7], dtype=F64),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([[[0.1]], [[0.3]]], dtype=F64),
    )
    start = 10 * torch.linspace(-2, 2, 41, dtype=F64)[:, None]

    def end(step: Step, n: int) -> Tensor:
        grid = log_snr(prior.process, n, 10.0, 0.05)
        noise = Bulk(0)
        return sample(prior, start, grid, step, generator=noise, denoise_last=False)  # type: ignore[arg-type]

    exact = end(DPMSolver3S(), 512)
    return {
        name: [float((end(entry.make(), n) - exact).square().mean().sqrt()) for n in steps]
        for name, entry in SOLVERS.items()
        if "law" not in entry.order
    }


# Posterior samplers -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """Distance, variance over the exact one, and cost of one draw in network forwards."""

    distance: float
    variance: float
    forwards: float


def score(problem: Problem, entry: PosteriorSampler, steps: int) -> Score | None:
    """None where the method does not take the operator."""
    chains = len(problem.draws)
    x = 20 * normal(chains, 8, seed=7)
    grid = karras(problem.prior.process, steps, 20.0, 0.02)
    noise = Bulk(5)
    run = Run(problem.prior, problem.measurement, x, grid, PARTICLES, noise)  # type: ignore[arg-type]
    try:
        with tally() as cost:
            out = entry.draw(run).x0
    except ValueError:
        return None
    variance = float(out.var(0).sum()) / problem.variance
    forwards = (cost.nfe + cost.nvjp) / chains
    return Score(sliced_w2(out, problem.draws), variance, forwards)


def coverage(entry: PosteriorSampler, steps: int, items: int = 60, draws: int = 16) -> float | None:
    """Share of truths that the 90 % intervals of each item's own draws hold.

    Sixteen unit Gaussian unknowns, of which a moving mean of three is measured with noise .1: the
    posterior is Gaussian, so intervals of exact draws hold 90 %.
    """
    prior = GaussianDenoiser(EDM(), torch.zeros(16, dtype=F64), torch.eye(16, dtype=F64))
    H = torch.nn.functional.avg_pool1d(torch.eye(16, dtype=F64)[:, None], 3, 1, 1)[:, 0].T
    truth = normal(items, 16, seed=1)
    y = truth @ H.T + 0.1 * normal(items, 16, seed=2)
    measurement = Measurement(y.repeat(draws, 1), Matrix(H), 0.1)
    x = 20 * normal(draws * items, 16, seed=7)
    grid, noise = karras(prior.process, steps, 20.0, 0.02), Bulk(5)
    try:
        out = entry.draw(Run(prior, measurement, x, grid, draws, noise)).x0  # type: ignore[arg-type]
    except ValueError:
        return None
    return Posterior(out.reshape(draws, items, 16)).coverage(truth, 0.9)


# The page ---------------------------------------------------------------------------------------

HEAD = """# Methods

Written by `python -m benchmarks.methods`; do not edit. Every method runs on the same oracles, whose
exact answer is known. All are reached from Python:

```python
import torch
import sciddm
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import FunctionOperator
from sciddm.process import EDM


def blur(x):  # (B, 16) -> (B, 16): any linear function of torch operations
    return torch.nn.functional.avg_pool1d(x[:, None], 3, 1, 1)[:, 0]


def inpainting(x):  # every third entry is not measured
    return x * (torch.arange(16) % 3 > 0)


prior = GaussianDenoiser(EDM(), torch.zeros(16), torch.eye(16))  # or sciddm.load("mri-brain")
A = FunctionOperator(blur, (16,))  # or inpainting
truth = torch.randn(200, 16)
y = A(truth) + 0.1 * torch.randn(200, 16)
posterior = sciddm.sample_posterior(y, A, prior, sigma=0.1, method="mmps", samples=16)
print(posterior.mean, posterior.std, posterior.coverage(truth, 0.9))  # about 0.9
print(posterior.verdict, posterior.log_evidence)  # nats, one for each item
```

`posterior.map(function)` gives the posterior of any function of the image: a mean over a region, a
volume, a profile; its `interval(0.9)` holds a new draw with that probability. Of two operators,
noise levels or priors the one with the larger `log_evidence` explains the same data better;
`sciddm.hypotheses.weigh` compares them. That is tested on priors of few unknowns with exact
denoisers. With a trained network and thousands of pixels the errors of guidance add up, and noise
levels that differ by 1.4 were confused.

[results/samplers](../benchmarks/results/samplers.md) has these methods beside azula's and deepinv's
versions at equal cost, with tuned settings; [samplers_mri](../benchmarks/results/samplers_mri.md)
has them on MRI slices with a trained network (`make bench-samplers`).

A prior may be a model (`sciddm.load("ct-prior")`) or a network trained elsewhere
(`sciddm.priors.foreign`). Take 20 steps or more with a network, and read `posterior.verdict`.

"""


def row_of(entry: PosteriorSampler, cases: Sequence[Problem]) -> str:
    """A posterior sampler's row of numbers."""
    cells = []
    for problem in cases:
        few, many = (score(problem, entry, n) for n in (20, 100))
        if few is None or many is None:
            cells.append("")
        else:
            cells.append(f"{few.distance:.3f} / {many.distance:.3f} ({many.variance:.1f})")
    coverages = [coverage(entry, n) for n in (20, 100)]
    cells.append(
        "" if None in coverages else " / ".join(f"{100 * (v or 0):.0f} %" for v in coverages)
    )
    return f"| `{entry.name}` | {entry.cost} | " + " | ".join(cells) + " |"


def rows_of_page() -> dict[str, str]:
    """The rows of numbers that the page has already, by the sampler's name."""
    text = DOCS.read_text().partition("## Posterior samplers")[2].partition("| name | method")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in rows}


def page(chains: int, only: Sequence[str] | None = None) -> str:
    """docs/methods.md.

    Args:
        chains: draws of each method.
        only: samplers that are measured, all if not given.
    """
    lines = [HEAD, "## Posterior samplers\n"]
    lines.append(
        "Sliced Wasserstein-2 distance to the exact posterior at 20 and at 100 steps, and in "
        "brackets the variance of the draws over the exact one at 100 steps. Two sets of exact "
        f"draws are the floor apart. `smc` has {PARTICLES} particles. Cost: evaluations of the "
        "network and vector-Jacobian products a step. Weights such as DPS's are those of the "
        "registry and not tuned to a problem. A cell is empty where a method does not take the "
        "operator. The last column: of 16 draws of one item each, the share of truths in their "
        "90 % intervals, where the posterior is Gaussian.\n"
    )
    there = {} if only is None else rows_of_page()
    cases = problems(chains)
    titles = [f"{p.title} (floor {p.floor:.3f})" for p in cases]
    lines.append("| name | cost a step | " + " | ".join(titles) + " | 90 % intervals hold |")
    lines.append("|---|---|" + "---|" * (len(cases) + 1))
    for entry in POSTERIOR_SAMPLERS.values():
        passed_over = only is not None and entry.name not in only
        lines.append(there[entry.name] if passed_over else row_of(entry, cases))
        print(lines[-1], flush=True)
    lines.append(
        "\n| name | method | source | needs | log p(y) | when |\n|---|---|---|---|---|---|"
    )
    for entry in POSTERIOR_SAMPLERS.values():
        lines.append(
            f"| `{entry.name}` | {entry.title} | {entry.source} | {entry.needs} | "
            f"{'yes' if entry.evidence else ''} | {entry.advice} |"
        )
    lines.append("\n## Solvers\n")
    lines.append(
        "Root mean squared error at the end of the probability flow after 8, 16, 32 and 64 steps, "
        "and the ratio of the last two (2 to the order).\n"
    )
    lines.append("| name | method | evaluations a step | order | 8 | 16 | 32 | 64 | ratio | when |")
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    errors = solver_errors()
    for solver in SOLVERS.values():
        row = errors.get(solver.name)
        numbers = ["", "", "", "", ""]
        if row is not None:
            ratio = [u / v for u, v in pairwise(row)][-1]
            numbers = [*(f"{v:.1e}" for v in row), f"{ratio:.1f}"]
        lines.append(
            f"| `{solver.name}` | {solver.title}; {solver.source} | {solver.evaluations} | "
            f"{solver.order} | " + " | ".join(numbers) + f" | {solver.advice} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures all and writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chains", type=int, default=500, help="draws of each method")
    parser.add_argument("--only", nargs="+", choices=list(POSTERIOR_SAMPLERS), help="to measure")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    DOCS.write_text(page(arguments.chains // PARTICLES * PARTICLES, arguments.only))
    print(f"wrote {DOCS}")


if __name__ == "__main__":
    main()

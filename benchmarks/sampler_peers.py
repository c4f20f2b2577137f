"""azula's and deepinv's own posterior samplers with the oracles' denoiser.

They run as their libraries give them; what is ours is the denoiser, the noise levels (Karras, 20 to
.02, through a schedule or time steps of theirs) and the choice of settings (``sampler_runs``).

    azula    DDPM steps around its guidance; TDS with sets of 4 particles
    deepinv  DDPM steps of its variance-exploding SDE around PiGDM, moment matching and DPS; DDRM
             with the same levels; DiffPIR with its own schedule

azula's DPS divides by the norm of the whole batch's residual; its strengths are multiplied by the
root of the batch. deepinv's DPS and DiffPIR clip the image to [-1, 1]: the state is x/4 there.

Runs in the peers' environment (benchmarks/peers_samplers.sh):
    python -m benchmarks.sampler_peers [CSV]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.without_torchvision import install

install()

import deepinv as dinv  # noqa: E402
import torch  # noqa: E402
from azula.denoise import Denoiser, DiracPosterior  # noqa: E402
from azula.guidance.diffpir import DiffPIRDenoiser  # noqa: E402
from azula.guidance.dps import DPSSampler  # noqa: E402
from azula.guidance.mmps import MMPSDenoiser  # noqa: E402
from azula.guidance.pgdm import PGDMSampler  # noqa: E402
from azula.guidance.repaint import RePaintSampler  # noqa: E402
from azula.guidance.tds import TDSSampler  # noqa: E402
from azula.guidance.tmpd import TMPDenoiser  # noqa: E402
from azula.linalg.covariance import IsotropicCovariance  # noqa: E402
from azula.noise import Schedule  # noqa: E402
from azula.sample import DDPMSampler  # noqa: E402
from deepinv.sampling import DDPMSolver, DiffPIR, PosteriorDiffusion  # noqa: E402
from deepinv.sampling.diffusion import DDRM  # noqa: E402
from deepinv.sampling.diffusion_sde import VarianceExplodingDiffusion  # noqa: E402
from deepinv.sampling.noisy_datafidelity import (  # noqa: E402
    DPSDataFidelity,
    MomentMatchingDataFidelity,
    PiGDMDataFidelity,
)
from torch import Tensor, nn  # noqa: E402

from benchmarks.sampler_oracles import F64, Problem  # noqa: E402
from benchmarks.sampler_runs import CHAINS, RESULTS, Method, Setting, measure  # noqa: E402
from sciddm.ledger import record  # noqa: E402

PARTICLES = 4
BOUND = 4.0  # no element of an image is beyond it
Levels = Sequence[float]


class _Counted(torch.autograd.Function):
    """x, whose backward passes are counted as VJPs."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        del ctx, inputs, output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        del ctx
        record(nvjp=gradient.shape[0])
        return gradient


def mean_of(problem: Problem, w: Tensor, sigma: float) -> Tensor:
    """E[x0 | w] of the oracle."""
    out: Tensor = problem.prior(_Counted.apply(w.double()), sigma)
    return out


# azula ------------------------------------------------------------------------------------------


class Karras(Schedule):
    """sigma^(1/7) linear in t: equal steps of t are Karras's grid."""

    def __init__(self, grid: Levels) -> None:
        self.high, self.low = grid[0], grid[-1]

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.low ** (1 / 7), self.high ** (1 / 7)
        return torch.ones_like(t), (low + t * (high - low)) ** 7


class Oracle(Denoiser):
    """The oracle as azula calls a denoiser."""

    def __init__(self, problem: Problem, grid: Levels) -> None:
        super().__init__()
        self.problem, self.schedule = problem, Karras(grid)

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
        del kwargs
        return DiracPosterior(mean_of(self.problem, x_t, float(self.schedule(t)[1])))


def azula(build: Callable[[Oracle, Problem, Setting, dict[str, Any]], Any]) -> Any:
    """A run of an azula sampler."""

    def run(problem: Problem, grid: Levels, setting: Setting) -> Tensor:
        options = {"steps": len(grid) - 1, "silent": True, "dtype": F64}
        sampler = build(Oracle(problem, grid), problem, setting, options)
        out: Tensor = sampler(grid[0] * torch.randn(CHAINS, 8, dtype=F64))
        return out

    return run


def guided(kind: Callable[[Oracle, Problem, Setting], Denoiser]) -> Any:
    """DDPM steps around guidance of azula."""
    return azula(lambda d, p, s, options: DDPMSampler(kind(d, p, s), **options))


def forward_of(p: Problem) -> Callable[[Tensor], Tensor]:
    return lambda x: x @ p.H.T


def pgdm(d: Oracle, p: Problem, setting: Setting, options: dict[str, Any]) -> Any:
    pinv = torch.linalg.pinv(p.H)
    return PGDMSampler(d, p.y, forward_of(p), lambda y: y @ pinv.T, eta=1.0, **options)


def repaint(d: Oracle, p: Problem, setting: Setting, options: dict[str, Any]) -> Any:
    mask = torch.arange(8) % 2 == 0
    data = torch.zeros(8, dtype=F64)
    data[::2] = p.y
    y = data.expand(CHAINS, 8)
    return RePaintSampler(d, y, mask, 3, eta=1.0, **options)


def tds(problem: Problem, grid: Levels, setting: Setting) -> Tensor:
    """Sets of four particles, one after the other; twist N(y; A D, R + r^2 A A^H) as ours."""
    H, y = problem.H, problem.y

    def twist(x_hat: Tensor, level: Tensor) -> Tensor:
        r2 = float(level) ** 2
        d2 = problem.prior.data_std**2
        cov = problem.sigma**2 * torch.eye(len(y), dtype=F64) + r2 * d2 / (r2 + d2) * H @ H.T
        e = y - x_hat @ H.T
        return -0.5 * (e * torch.linalg.solve(cov, e.T).T).sum(1)

    out = []
    for _ in range(CHAINS // PARTICLES):
        oracle = Oracle(problem, grid)
        sampler = TDSSampler(oracle, twist, steps=len(grid) - 1, silent=True, dtype=F64)
        out.append(sampler(grid[0] * torch.randn(PARTICLES, 8, dtype=F64)))
    return torch.cat(out)


AZULA = [
    Method(
        "azula",
        "dps",
        azula(
            lambda d, p, s, options: DPSSampler(
                d, p.y, forward_of(p), s[0] * CHAINS**0.5, **options
            )
        ),
    ),
    Method(
        "azula",
        "diffpir",
        guided(
            lambda d, p, s: DiffPIRDenoiser(
                d, p.y, forward_of(p), p.sigma**2, s[0], solver="cg", iterations=8
            )
        ),
    ),
    Method(
        "azula",
        "mmps",
        guided(
            lambda d, p, s: MMPSDenoiser(
                d,
                p.y,
                forward_of(p),
                IsotropicCovariance(torch.tensor(p.sigma**2, dtype=F64)),
                solver="cg",
                iterations=int(s[0]),
            )
        ),
    ),
    Method("azula", "pigdm", azula(pgdm)),
    Method("azula", "tmpd", guided(lambda d, p, s: TMPDenoiser(d, p.y, forward_of(p), p.sigma**2))),
    Method("azula", "repaint", azula(repaint), ("mask, noise .1",)),
    Method("azula", "smc", tds),
]


# deepinv ----------------------------------------------------------------------------------------


class Prior(nn.Module):
    """The oracle as deepinv calls a denoiser, of (B, 1, 1, 8) with x = scale (u - shift)."""

    def __init__(self, problem: Problem, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.problem, self.scale, self.shift = problem, scale, shift

    def forward(self, u: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        del kwargs
        level = float(torch.as_tensor(sigma).flatten()[0]) * self.scale
        x = ((u - self.shift) * self.scale)[:, 0, 0]
        if level > 20:  # the limit of a prior that is narrow beside the noise
            x, level = x * (20 / level), 20.0
        mean = mean_of(self.problem, x, level) / self.scale + self.shift
        return mean[:, None, None].to(u.dtype)


def physics_of(p: Problem, factor: float = 1.0, dtype: torch.dtype = F64) -> Any:
    """factor A with its singular value decomposition."""
    U, s, Vh = torch.linalg.svd(p.H.to(dtype), full_matrices=True)
    m = len(p.y)
    values = torch.zeros(8, dtype=dtype)
    values[: len(s)] = factor * s

    def pad(y: Tensor) -> Tensor:
        return torch.nn.functional.pad(y @ U, (0, 8 - m))

    return dinv.physics.DecomposablePhysics(
        U=lambda v: v[..., :m] @ U.T,
        U_adjoint=pad,
        V_adjoint=lambda x: x @ Vh.T,
        V=lambda v: v @ Vh,
        mask=values[None, None, None],
        img_size=(1, 1, 8),
        noise_model=dinv.physics.GaussianNoise(p.sigma),
    )


def data_of(p: Problem, dtype: torch.dtype = F64) -> Tensor:
    return p.y.to(dtype).expand(CHAINS, 1, 1, len(p.y)).clone()


def deepinv_sde(fidelity: Callable[[Setting], Any], scale: float = 1.0) -> Any:
    """DDPM steps of deepinv's VE SDE on our noise levels."""

    def run(p: Problem, grid: Levels, setting: Setting) -> Tensor:
        low, high = 1e-3, 80.0
        times = (
            torch.tensor([*grid], dtype=F64).div(scale * low).log()
            / torch.tensor(high / low, dtype=F64).log()
        )
        sde = VarianceExplodingDiffusion(sigma_min=low, sigma_max=high, alpha=1.0)
        rng = torch.Generator().manual_seed(5)
        model = PosteriorDiffusion(
            fidelity(setting),
            Prior(p, scale),
            sde,
            DDPMSolver(timesteps=times, rng=rng),
            minus_one_one=False,
        )
        u = model(
            data_of(p, torch.float32),
            physics_of(p, scale, torch.float32),
            x_init=(CHAINS, 1, 1, 8),
            seed=5,
        )
        return scale * u[:, 0, 0]

    return run


def ddrm(p: Problem, grid: Levels, setting: Setting) -> Tensor:
    model = DDRM(Prior(p), sigmas=list(grid), eta=setting[0])
    out: Tensor = model(data_of(p), physics_of(p), seed=5)
    return out[:, 0, 0]


def diffpir(p: Problem, grid: Levels, setting: Setting) -> Tensor:
    """Its own 1000 VP levels from 157 down, on images in [0, 1]: x = 2 c (z - 1/2)."""
    kind = torch.float32
    physics = physics_of(p, 2 * BOUND, kind)
    model = DiffPIR(
        Prior(p, 2 * BOUND, 0.5),
        data_fidelity=dinv.optim.data_fidelity.L2(),
        sigma=p.sigma,
        max_iter=len(grid) - 1,
        zeta=1.0,
        lambda_=setting[0],
    )
    half = torch.full((1, 1, 1, 8), 0.5, dtype=kind)
    y = data_of(p, kind) + physics.A(half)
    torch.manual_seed(5)
    z = model(y, physics, x_init=half.expand(CHAINS, 1, 1, 8))
    out: Tensor = (z[:, 0, 0] - 0.5) * 2 * BOUND
    return out


DEEPINV = [
    Method("deepinv", "pigdm", deepinv_sde(lambda s: PiGDMDataFidelity(cg_max_iter=8))),
    Method(
        "deepinv",
        "mmps",
        deepinv_sde(lambda s: MomentMatchingDataFidelity(cg_max_iter=int(s[0]), cg_tol=1e-9)),
    ),
    Method(
        "deepinv",
        "dps",
        deepinv_sde(
            lambda s: DPSDataFidelity(weight=s[0], guidance="norm", clip=[-1.0, 1.0]), BOUND
        ),
    ),
    Method("deepinv", "ddrm", ddrm),
    Method("deepinv", "diffpir", diffpir),
]


def main() -> None:
    torch.set_num_threads(1)
    measure([*AZULA, *DEEPINV], Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)


if __name__ == "__main__":
    main()

"""azula's and deepinv's own posterior samplers on the MRI slices, with our network.

Real and imaginary parts are two real channels, whose noise has 1/sqrt(2) of the complex standard
deviation. azula solves systems on the last axis: images are vectors there. deepinv's DPS and
DiffPIR clip to [-1, 1]: the state is x / 2. See ``sampler_peers``. deepinv's PiGDM and moment
matching differentiate by ``torch.func``, which the network's own normalisation does not take.

Runs in the peers' environment:
    python -m benchmarks.samplers_mri_peers MODEL_FOLDER
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
from azula.guidance.tds import TDSSampler  # noqa: E402
from azula.guidance.tmpd import TMPDenoiser  # noqa: E402
from azula.linalg.covariance import IsotropicCovariance  # noqa: E402
from azula.sample import DDPMSampler  # noqa: E402
from deepinv.sampling import DDPMSolver, DiffPIR, PosteriorDiffusion  # noqa: E402
from deepinv.sampling.diffusion import DDRM  # noqa: E402
from deepinv.sampling.diffusion_sde import VarianceExplodingDiffusion  # noqa: E402
from deepinv.sampling.noisy_datafidelity import (  # noqa: E402
    DPSDataFidelity,
)
from torch import Tensor, nn  # noqa: E402

from benchmarks.mri_slices import SAMPLES, SIGMA, Method, Scan, Setting, measure  # noqa: E402
from benchmarks.sampler_peers import Karras, _Counted  # noqa: E402
from sciddm.denoiser import NetworkDenoiser  # noqa: E402
from sciddm.zoo.folder import load_model  # noqa: E402

ROOT2 = 2**0.5
BOUND = 2.0
TOP, LAST = 10.0, 0.02  # noise levels of the complex variable


def levels(steps: int) -> list[float]:
    """Karras's grid of one part."""
    low, high = (LAST / ROOT2) ** (1 / 7), (TOP / ROOT2) ** (1 / 7)
    return [(high + i / steps * (low - high)) ** 7 for i in range(steps + 1)]


def mean_of(prior: NetworkDenoiser, x: Tensor, level: float) -> Tensor:
    """E[x0 | x] of two channels (B, 2, y, x), whose noise is ``level`` each."""
    x = _Counted.apply(x.float())
    level = level * ROOT2
    top = float(prior.process.sigma(prior.process.t_max))
    if level > top:  # the limit of a prior that is narrow beside the noise
        x, level = x * (top / level), top
    mean = prior(torch.complex(x[:, :1], x[:, 1:]), level)
    return torch.cat([mean.real, mean.imag], 1)


def complex_of(x: Tensor) -> Tensor:
    return torch.complex(x[:, :1], x[:, 1:])


# azula ------------------------------------------------------------------------------------------


class Oracle(Denoiser):
    """Our network as azula calls one, of vectors."""

    def __init__(self, prior: NetworkDenoiser, scan: Scan, grid: Sequence[float]) -> None:
        super().__init__()
        self.net, self.schedule = prior, Karras(grid)
        self.shape = (2, *scan.truth.shape[-2:])

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
        del kwargs
        level = float(self.schedule(t)[1])
        mean = mean_of(self.net, x_t.reshape(-1, *self.shape), level)
        return DiracPosterior(mean.flatten(1))


def operator_of(scan: Scan) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The sampled k-space of vectors, as vectors, and the data."""
    mask = scan.A.mask > 0
    size = scan.truth.shape[-2:]

    def forward(x: Tensor) -> Tensor:
        k = scan.A.forward(complex_of(x.reshape(-1, 2, *size)))[:, 0, mask]
        out = torch.cat([k.real, k.imag], -1)
        return out if x.ndim > 1 else out[0]

    y = scan.y[0, mask]
    return forward, torch.cat([y.real, y.imag])


Build = Callable[[Oracle, Any, Tensor, Setting, dict[str, Any]], Any]


class Peers:
    """Every method with one network."""

    def __init__(self, prior: NetworkDenoiser) -> None:
        self.prior = prior

    def azula(self, build: Build) -> Callable[[Scan, int, Setting], Tensor]:
        def run(scan: Scan, steps: int, setting: Setting) -> Tensor:
            grid = levels(steps)
            oracle = Oracle(self.prior, scan, grid)
            A, y = operator_of(scan)
            options = {"steps": steps, "silent": True}
            sampler = build(oracle, A, y, setting, options)
            size = scan.truth.shape[-2:]
            x = sampler(grid[0] * torch.randn(SAMPLES, 2 * size[0] * size[1]))
            return complex_of(x.detach().reshape(-1, 2, *size))

        return run

    def guided(self, kind: Callable[..., Denoiser]) -> Callable[[Scan, int, Setting], Tensor]:
        return self.azula(lambda d, A, y, s, options: DDPMSampler(kind(d, A, y, s), **options))

    def deepinv_sde(
        self, fidelity: Callable[[Setting], Any], scale: float = 1.0
    ) -> Callable[[Scan, int, Setting], Tensor]:
        def run(scan: Scan, steps: int, setting: Setting) -> Tensor:
            low, high = 1e-3, 80.0
            times = torch.tensor(levels(steps), dtype=torch.float64).div(scale * low).log()
            times = times / torch.tensor(high / low, dtype=torch.float64).log()
            sde = VarianceExplodingDiffusion(sigma_min=low, sigma_max=high, alpha=1.0)
            rng = torch.Generator().manual_seed(5)
            model = PosteriorDiffusion(
                fidelity(setting),
                Channels(self.prior, scale),
                sde,
                DDPMSolver(timesteps=times, rng=rng),
                minus_one_one=False,
            )
            size = scan.truth.shape[-2:]
            y = data_of(scan) / scale
            u = model(y, physics_of(scan, scale), x_init=(SAMPLES, 2, *size), seed=5)
            return complex_of(scale * u.float())

        return run

    def ddrm(self, scan: Scan, steps: int, setting: Setting) -> Tensor:
        model = DDRM(Channels(self.prior), sigmas=levels(steps), eta=setting[0])
        return complex_of(model(data_of(scan), physics_of(scan), seed=5).float())

    def diffpir(self, scan: Scan, steps: int, setting: Setting) -> Tensor:
        """On images in [0, 1], x = 4 (z - 1/2); its own schedule."""
        scale = 2 * BOUND
        physics = physics_of(scan, scale)
        model = DiffPIR(
            Channels(self.prior, scale, 0.5),
            data_fidelity=dinv.optim.data_fidelity.L2(),
            sigma=SIGMA / ROOT2 / scale,
            max_iter=steps,
            zeta=1.0,
            lambda_=setting[0],
        )
        half = torch.full((1, 2, *scan.truth.shape[-2:]), 0.5)
        y = data_of(scan) / scale + physics.A(half)
        start = physics.A_adjoint(data_of(scan)) / scale + 0.5
        torch.manual_seed(5)
        z = model(y, physics, x_init=start)
        return complex_of((z - 0.5) * scale)


class Channels(nn.Module):
    """Our network as deepinv calls one: (B, 2, y, x), x = scale (u - shift)."""

    def __init__(self, prior: NetworkDenoiser, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.net, self.scale, self.shift = prior, scale, shift

    def forward(self, u: Tensor, sigma: Tensor | float, **kwargs: Any) -> Tensor:
        del kwargs
        level = float(torch.as_tensor(sigma).flatten()[0]) * self.scale
        mean = mean_of(self.net, (u - self.shift) * self.scale, level)
        return (mean / self.scale + self.shift).to(u.dtype)


def physics_of(scan: Scan, scale: float = 1.0) -> Any:
    """deepinv's own operator; data and noise are those of x / scale."""
    size = scan.truth.shape[-2:]
    physics = dinv.physics.MRI(
        mask=scan.A.mask.float(),
        img_size=(2, *size),
        noise_model=dinv.physics.GaussianNoise(SIGMA / ROOT2 / scale),
    )
    probe = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0))
    expected = scan.A.forward(complex_of(probe))
    if not torch.allclose(complex_of(physics.A(probe)), expected, atol=1e-4):
        raise RuntimeError("deepinv's operator is not ours")
    return physics


def data_of(scan: Scan) -> Tensor:
    y = scan.y[None]
    return torch.cat([y.real, y.imag], 1).repeat(SAMPLES, 1, 1, 1)


def twist_of(prior: NetworkDenoiser, A: Any, y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """ln N(y; A D, R + r^2 A A^T), as ours: A A^T is 1 on sampled entries."""

    def twist(x_hat: Tensor, level: Tensor) -> Tensor:
        d2, noise = prior.data_std**2 / 2, float(level) ** 2
        variance = SIGMA**2 / 2 + noise * d2 / (noise + d2)
        return -0.5 * (y - A(x_hat)).square().sum(1) / variance

    return twist


def methods(prior: NetworkDenoiser) -> list[Method]:
    """All of them, with the steps and settings of ours."""
    from benchmarks.samplers_mri_settings import GRIDS, STEPS

    peers = Peers(prior)
    variance = SIGMA**2 / 2
    root = (SAMPLES) ** 0.5

    def pinv(scan_a: Any, size: int) -> Callable[[Tensor], Tensor]:
        zero = torch.zeros(size)

        def back(v: Tensor) -> Tensor:  # A^T, which is A^+ here
            one = v[None] if v.ndim == 1 else v
            out: Tensor = torch.func.vjp(scan_a, zero.expand(len(one), -1).clone())[1](one)[0]
            return out

        return back

    runs: dict[tuple[str, str], Callable[[Scan, int, Setting], Tensor]] = {
        ("azula", "dps"): peers.azula(
            lambda d, A, y, s, o: DPSSampler(d, y, A, s[0] * root * 0.01, **o)
        ),
        ("azula", "diffpir"): peers.guided(
            lambda d, A, y, s: DiffPIRDenoiser(d, y, A, variance, s[0], "cg", 3)
        ),
        ("azula", "mmps"): peers.guided(
            lambda d, A, y, s: MMPSDenoiser(
                d, y, A, IsotropicCovariance(torch.tensor(variance)), "cg", 3
            )
        ),
        ("azula", "pigdm"): peers.azula(
            lambda d, A, y, s, o: PGDMSampler(
                d, y, A, pinv(A, 2 * d.shape[1] * d.shape[2]), eta=1.0, **o
            )
        ),
        ("azula", "tmpd"): peers.guided(lambda d, A, y, s: TMPDenoiser(d, y, A, variance)),
        ("azula", "smc"): peers.azula(
            lambda d, A, y, s, o: TDSSampler(d, twist_of(prior, A, y), **o)
        ),
        ("deepinv", "dps"): peers.deepinv_sde(
            lambda s: DPSDataFidelity(weight=s[0], guidance="norm", clip=[-1.0, 1.0]), BOUND
        ),
        ("deepinv", "ddrm"): peers.ddrm,
        ("deepinv", "diffpir"): peers.diffpir,
    }
    return [
        Method(library, name, STEPS[name], run, GRIDS.get(name, [()]))
        for (library, name), run in runs.items()
    ]


def main() -> None:
    torch.set_num_threads(1)
    prior = load_model(Path(sys.argv[1]))
    assert isinstance(prior, NetworkDenoiser)
    measure(methods(prior))


if __name__ == "__main__":
    main()

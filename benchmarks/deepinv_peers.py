"""deepinv's DPS and DiffPIR with our network, on our problems.

deepinv keeps images in [-1, 1] (DPS) or [0, 1] (DiffPIR) and clips to that, so with a bound c on
the parts of x the state is u = x / c, or z = (u + 1) / 2; both are exact changes of variable:

    DPS      A_u = c A,    y_u = y
    DiffPIR  A_z = 2c A,   y_z = y + c A(1 + i)

x is the image in the prior's normalisation (bright tissue near 1, phase demodulated), two channels
(re, im); A is deepinv's ``MultiCoilMRI`` with our maps (and the image's phase in them).

What is compared is the sampler: network, maps and noise level are ours, and the peers get as many
network evaluations as ours at quality "balanced" has evaluations and VJPs together. The parameters
(weight of the data, and how the evaluations are spread over chains and noise levels) are tuned on
the tuning slices, whose truth is known, for each acceleration; chains are averaged, as ours are.
The real scan's R = 6 takes the better of the two simulated tunings, by its own truth.

Runs in the peers' environment:
    python -m benchmarks.deepinv_peers PROBLEMS RESULTS --model FOLDER --nfe N --samples K
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import deepinv as dinv
import numpy as np
import torch
from deepinv.sampling import DDPMSolver, DiffPIR
from deepinv.sampling.diffusion import DPS
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.metrics import psnr
from benchmarks.problems import Problem, first_slices, load_problems
from benchmarks.results import Result, cached
from benchmarks.tuning import search
from sciddm.denoiser import Denoiser
from sciddm.ledger import tally
from sciddm.zoo.folder import load_model, weights_hash

#: c: no part of a normalised image is beyond it.
BOUND = 2.0
#: Conjugate gradient steps in DiffPIR's proximal step.
CG_STEPS = 10


class Prior(nn.Module):
    """Our denoiser as deepinv calls one: (B, 2, y, x) real in u, noise level per channel.

    The level of a complex variable is sqrt(2) of its channels'. Beyond the process's largest level
    x is shrunk to it, the limit of a prior that is narrow beside the noise.
    """

    def __init__(self, denoiser: Denoiser, scale: float = BOUND, shift: float = 0.0) -> None:
        super().__init__()
        self.denoiser, self.scale, self.shift = denoiser, scale, shift

    def forward(self, u: Tensor, sigma: Tensor | float, **_: Any) -> Tensor:
        level = float(torch.as_tensor(sigma).flatten()[0]) * self.scale * 2**0.5
        x = (u.float() - self.shift) * self.scale
        process = self.denoiser.process
        top = float(process.sigma(process.t_max))
        if level > top:
            x, level = x * (top / level), top
        level = max(level, float(process.sigma(process.t_min)))
        t = process.time(level)
        x = torch.complex(x[:, :1], x[:, 1:]) * process(t)[0]
        mean = self.denoiser(x, t)
        return torch.cat([mean.real, mean.imag], 1) / self.scale + self.shift


def physics_of(p: Problem, factor: float) -> dinv.physics.MultiCoilMRI:
    """deepinv's operator, factor * A, with the noise level per channel of ``p``."""
    maps = torch.from_numpy(factor * p.maps)
    noise = dinv.physics.GaussianNoise(p.sigma / 2**0.5)
    physics = dinv.physics.MultiCoilMRI(
        mask=torch.from_numpy(p.mask.astype(np.float32)),
        coil_maps=maps[None],
        img_size=(2, *p.mask.shape),
        noise_model=noise,
        max_iter=CG_STEPS,
        tol=1e-5,
        implicit_backward_solver=False,
    )
    check_adjoint(physics, (1, 2, *p.mask.shape))
    return physics


def check_adjoint(physics: dinv.physics.LinearPhysics, shape: tuple[int, ...]) -> None:
    """<A u, v> = <u, A^T v>: the benchmark would be unfair to deepinv otherwise."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(shape, generator=generator)
    image = physics.A(u)
    v = torch.randn(image.shape, generator=generator)
    left, right = (image * v).sum(), (u * physics.A_adjoint(v)).sum()
    if not torch.isclose(left, right, rtol=1e-3, atol=1e-3 * float(image.norm())):
        raise RuntimeError(f"deepinv's operator and its adjoint disagree: {left} and {right}")


def measured(p: Problem) -> Tensor:
    """(1, 2, coil, ky, kx)."""
    y = torch.from_numpy(p.kspace)
    return torch.stack([y.real, y.imag])[None]


def zero_filled(p: Problem) -> Tensor:
    """(1, 2, y, x) in the prior's normalisation."""
    physics = physics_of(p, 1.0)
    return physics.A_adjoint(measured(p))


def run_dps(
    denoiser: Denoiser, p: Problem, nfe: int, chains: int, schedule: str, guidance: str, w: float
) -> Tensor:
    """Mean of ``chains`` draws, (2, y, x) in the prior's normalisation."""
    steps = nfe // chains
    rng = torch.Generator().manual_seed(0)
    if schedule == "vp":
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    else:  # from the prior's largest level down, in place of deepinv's 80
        top = float(denoiser.process.sigma(denoiser.process.t_max)) / (BOUND * 2**0.5)
        start = float(np.log(top / 0.001) / np.log(80 / 0.001))
        times = torch.linspace(start, 0.1, steps + 1, dtype=torch.float64)
    model = DPS(
        Prior(denoiser),
        schedule=schedule,
        solver=DDPMSolver(timesteps=times, rng=rng),
        weight=w,
        guidance=guidance,
        minus_one_one=False,
    )
    y = measured(p).repeat(chains, 1, 1, 1, 1)
    # The last state is the result: deepinv's further denoising would be one evaluation more.
    u = model(
        y,
        physics_of(p, BOUND),
        x_init=(chains, 2, *p.mask.shape),
        seed=0,
        denoise_output=False,
    )
    return u.mean(0).float() * BOUND


def run_diffpir(
    denoiser: Denoiser, p: Problem, nfe: int, chains: int, zeta: float, w: float
) -> Tensor:
    """Mean of ``chains`` draws, (2, y, x) in the prior's normalisation."""
    physics = physics_of(p, 2 * BOUND)
    model = DiffPIR(
        Prior(denoiser, scale=2 * BOUND, shift=0.5),
        data_fidelity=dinv.optim.data_fidelity.L2(),
        sigma=p.sigma / 2**0.5,
        max_iter=nfe // chains,
        zeta=zeta,
        lambda_=w,
    )
    half = torch.full((1, 2, *p.mask.shape), 0.5)
    y = measured(p) + physics.A(half)
    start = zero_filled(p) / (2 * BOUND) + 0.5
    torch.manual_seed(0)
    z = model(y.repeat(chains, 1, 1, 1, 1), physics, x_init=start.repeat(chains, 1, 1, 1))
    return (z.mean(0) - 0.5) * 2 * BOUND


@dataclass(frozen=True)
class Method:
    """A sampler, its settings to choose among, and where the search for its weight starts."""

    run: Callable[..., Tensor]
    options: Callable[[int], list[tuple[dict[str, Any], float]]]


METHODS = {
    "deepinv DiffPIR": Method(
        run_diffpir,
        lambda k: [({"chains": c, "zeta": z}, 4.0) for c in sorted({1, k}) for z in (0.3, 1.0)],
    ),
    "deepinv DPS": Method(
        run_dps,
        lambda k: [
            ({"chains": c, "schedule": s, "guidance": g}, start)
            for c in sorted({1, k})
            for s, g, start in (("vp", "norm", 100.0), ("ve", "annealed", 1.0))
        ],
    ),
}


def magnitude(p: Problem, image: Tensor) -> NDArray[np.float32]:
    """|x| in the reference's units."""
    return np.asarray(torch.linalg.vector_norm(image, dim=0).numpy() * p.gain)


class Bench:
    """Tuning and running of the methods with one network."""

    def __init__(self, denoiser: Denoiser, key: str, nfe: int, samples: int, slices: int) -> None:
        self.denoiser, self.key = denoiser, key
        self.nfe, self.samples, self.slices = nfe, samples, slices

    def quality(self, method: Method, p: Problem, nfe: int, settings: dict[str, Any]) -> float:
        image = magnitude(p, method.run(self.denoiser, p, nfe, **settings))
        return psnr(image, p.reference) if np.isfinite(image).all() else -99.0

    def tune(self, name: str, cases: list[Problem]) -> dict[str, Any]:
        """The settings with the best mean PSNR over the first ``slices`` of ``cases``.

        Every option's weight is searched with a quarter of the evaluations, then that of the best
        option with all of them.
        """
        method, cases = METHODS[name], cases[: self.slices]

        def best(option: dict[str, Any], start: float, nfe: int) -> tuple[float, dict[str, Any]]:
            def score(w: float) -> float:
                settings = option | {"w": w}
                return float(np.mean([self.quality(method, p, nfe, settings) for p in cases]))

            w, value = search(score, start, ratio=4.0, limit=5)
            print(f"{name} tuning, {nfe}: {value:.2f} dB with {option | {'w': w}}", flush=True)
            return value, option | {"w": w}

        trials = [best(option, w, self.nfe // 4) for option, w in method.options(self.samples)]
        option = dict(max(trials, key=lambda pair: pair[0])[1])
        return best(option, option.pop("w"), self.nfe)[1]

    def tuned(self, name: str, cases: list[Problem], store: Path) -> dict[str, Any]:
        """``tune``, remembered in a file."""
        stamp = [self.key, self.nfe, self.samples, [p.digest() for p in cases[: self.slices]]]
        if store.exists() and json.loads(store.read_text())["stamp"] == stamp:
            return dict(json.loads(store.read_text())["settings"])
        settings = self.tune(name, cases)
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps({"stamp": stamp, "settings": settings}))
        return settings

    def result(self, name: str, p: Problem, settings: dict[str, Any]) -> Result:
        start = perf_counter()
        with tally() as cost:
            image = METHODS[name].run(self.denoiser, p, self.nfe, **settings)
        seconds = perf_counter() - start + p.info["seconds"]
        # Only DPS differentiates, once for each evaluation; deepinv does not count.
        nvjp = cost.nfe if name == "deepinv DPS" else 0
        return Result(magnitude(p, image), seconds, cost.nfe, nvjp, settings)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("problems", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--nfe", type=int, required=True, help="evaluations in all, as ours")
    parser.add_argument("--samples", type=int, default=8, help="chains that ours averages")
    parser.add_argument("--tuning-slices", type=int, default=2)
    parser.add_argument("--slices", type=int, default=3, help="of each simulated scan")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    args = parser.parse_args()

    key = weights_hash(args.model)
    bench = Bench(load_model(args.model), key, args.nfe, args.samples, args.tuning_slices)
    tuning = load_problems(args.problems, "tune")
    tests = first_slices(load_problems(args.problems, "test"), args.slices)
    for name in args.methods:
        settings = {}
        for r in sorted({p.info["acceleration"] for p in tuning}):
            cases = [p for p in tuning if p.info["acceleration"] == r]
            settings[r] = bench.tuned(name, cases, args.results / name / f"tuned-R{r}.json")
        for p in tests:
            candidates = [settings.get(p.info["acceleration"])]
            if candidates == [None]:
                candidates = list(settings.values())

            def make(p: Problem = p, name: str = name, candidates: list = candidates) -> Result:
                results = [bench.result(name, p, s) for s in candidates]
                return max(results, key=lambda each: psnr(each.image, p.reference))

            stamp = [key, args.nfe, args.samples, candidates]
            r = cached(args.results, name, p, stamp, make)
            print(
                f"{name} {p.info['name']} {psnr(r.image, p.reference):.2f} dB, {r.nfe} NFE, "
                f"{r.seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()

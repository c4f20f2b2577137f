"""The registry of methods: every solver and posterior sampler, by name.

docs/methods.md is made of it and of what ``python -m benchmarks.methods`` measures. To add one,
write it in a file of its own (CONTRIBUTING.md) and give it a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance import DDNM, DDS, DPS, MMPS, STSL, TMPD, Adaptive, DiffPIR, Guided, PiGDM
from sciddm.guidance.base import AnyMeasurement
from sciddm.physics.measurement import Measurement
from sciddm.random.streams import Streams
from sciddm.sampling import (
    DDIM,
    DDRM,
    DEIS,
    MGDM,
    PNDM,
    SITCOM,
    Ancestral,
    DPMSolver2M,
    DPMSolver2S,
    DPMSolver3M,
    DPMSolver3S,
    EVODiff,
    FlowChef,
    Heun,
    ODESolve,
    RePaint,
    Step,
    UniPC,
    fresh,
    pnp_dm,
    red_diff,
    sample,
    smc,
)
from sciddm.sampling.sample import Callback
from sciddm.uncertainty.evidence import EvidenceMeter

__all__ = [
    "POSTERIOR_SAMPLERS",
    "SOLVERS",
    "Draws",
    "PosteriorSampler",
    "Run",
    "Solver",
    "guided",
    "stepped",
]


@dataclass(frozen=True)
class Solver:
    """A step of the probability flow (or of the reverse SDE), for samples of a prior.

    ``evaluations`` is the number a step, ``order`` that of convergence.
    """

    name: str
    title: str
    source: str
    evaluations: int
    order: str
    advice: str
    make: Callable[[], Step]

    @property
    def stochastic(self) -> bool:
        """Whether its steps add noise."""
        return self.order.endswith("in law")


@dataclass(frozen=True)
class Draws:
    """x0 (K B, ...), sample k of item b at k B + b, and log p(y) of each item where estimated."""

    x0: Tensor
    log_evidence: Tensor | None = None


@dataclass(frozen=True)
class Run:
    """One run of a posterior sampler: everything but the method.

    Args:
        prior: of a process without an endpoint.
        measurement: the data, of one item or repeated for all K B samples.
        x: states at the first time (K B, ...).
        grid: decreasing times.
        samples: K.
        streams: one stream of noise per sample.
        measured: how many entries of y are measured; those that are not 0 if not given.
        callback: called after every step.
        step: in place of that of the method, where it takes any (``takes_solver``).
    """

    prior: Denoiser
    measurement: AnyMeasurement
    x: Tensor
    grid: Sequence[float]
    samples: int
    streams: Streams
    measured: int | Tensor | None = None
    callback: Callback | None = None
    step: Step | None = None

    @property
    def linear(self) -> Measurement:
        """The measurement, of a linear operator.

        Raises:
            ValueError: it is not linear.
        """
        if not isinstance(self.measurement, Measurement):
            raise ValueError("this method needs a linear operator")
        return self.measurement

    @property
    def count(self) -> int:
        """Measured entries of y of one item."""
        if isinstance(self.measured, int):
            return self.measured
        seen = self.measurement.y != 0
        ndim = self.linear.A.range_ndim
        return int(seen.flatten(-ndim).sum(-1).max())


class Draw(Protocol):
    """A posterior sampler at work."""

    def __call__(self, run: Run) -> Draws:
        """The draws of one run."""
        ...


@dataclass(frozen=True)
class PosteriorSampler:
    """A method that draws from p(x0 | y).

    ``cost`` is per step, in evaluations and VJPs; ``needs`` says which operators it takes;
    ``evidence`` whether it estimates log p(y).
    """

    name: str
    title: str
    source: str
    needs: str
    cost: str
    advice: str
    draw: Draw
    evidence: bool = False

    @property
    def takes_solver(self) -> bool:
        """Whether any solver can make its steps: it guides the denoiser and nothing else."""
        return bool(getattr(self.draw, "takes_solver", False))


def guided(
    make: Callable[[Denoiser, AnyMeasurement], Guided],
    *,
    evidence: bool = False,
    noise_from_prior: bool = False,
    step: Callable[[], Step] = lambda: DPMSolver2M(sde=True),
) -> Draw:
    """A run of ``sample`` with guidance, by a multistep SDE unless ``step`` says otherwise."""

    # The multistep SDE is second order in law: draws of 20 ancestral steps are a tenth too narrow.
    def draw(run: Run) -> Draws:
        denoiser = make(run.prior, run.measurement)
        meter = EvidenceMeter(denoiser) if evidence else None
        x0 = sample(
            meter or denoiser,
            run.x,
            run.grid,
            run.step or step(),
            generator=run.streams,
            callback=run.callback,
            noise_from_prior=noise_from_prior,
        )
        if meter is None:
            return Draws(x0)
        samples = x0.reshape(run.samples, -1, *x0.shape[1:])
        return Draws(x0, meter.log_evidence(samples, run.measured))

    # What needs the noise of the prior's own mean has it in the transition alone.
    draw.takes_solver = not noise_from_prior  # type: ignore[attr-defined]
    return draw


def stepped(
    make: Callable[[Run], Step],
    *,
    refined: bool = False,
    prior: Callable[[Run], Denoiser] = lambda run: run.prior,
) -> Draw:
    """A run of ``sample`` whose step knows the data, or (``refined``) whose estimates are drawn."""

    def draw(run: Run) -> Draws:
        return Draws(
            sample(
                prior(run),
                run.x,
                run.grid,
                make(run),
                generator=run.streams,
                callback=run.callback,
                refine=run.linear.draw if refined else None,
            )
        )

    return draw


#: Power of weights below which errors of guidance make them, not the data; see ``smc``.
_COLLAPSE = 0.05


def _particles(run: Run) -> Draws:
    result = smc(
        PiGDM(run.prior, run.linear),
        run.x,
        run.grid,
        particles=run.samples,
        generator=run.streams,
        measured=run.measured,
        collapse=_COLLAPSE,
        rejuvenation=1.0,
        callback=run.callback,
    )
    # Where a single particle is left the product of mean weights says little more than nothing.
    counts = bool((result.ess >= min(2, run.samples)).all() and (result.tempering > 0).all())
    return Draws(result.x0, result.log_evidence if counts else None)


def _pnp_dm(run: Run) -> Draws:
    process, data_std = run.prior.process, run.prior.data_std
    first = float(process.sigma(run.grid[0]))
    levels = [max(first * 0.9**k, 0.1 * data_std) for k in range(3 * (len(run.grid) - 1))]
    return Draws(
        pnp_dm(
            run.prior,
            run.linear,
            0 * run.x,
            levels,
            generator=run.streams,
            callback=run.callback,
        )
    )


def _adaptive(run: Run) -> Draws:
    denoiser = Adaptive(MMPS(run.prior, run.measurement, 3), 0.1)
    step = DPMSolver2M(sde=True)
    x0 = sample(denoiser, run.x, run.grid, step, generator=run.streams, callback=run.callback)
    return Draws(x0)


def _red_diff(run: Run) -> Draws:
    start = run.linear.prox(0 * run.x, run.prior.data_std**2)
    return Draws(
        red_diff(
            run.prior, run.linear, start, run.grid, generator=run.streams, callback=run.callback
        )
    )


def _last_level(run: Run) -> float:
    return float(run.prior.process.sigma(run.grid[-1]))


SOLVERS: dict[str, Solver] = {
    entry.name: entry
    for entry in (
        Solver("ddim", "DDIM", "Song et al. 2021", 1, "1", "Reference.", DDIM),
        Solver(
            "heun",
            "Heun (EDM)",
            "Karras et al. 2022",
            2,
            "2",
            "Robust; two evaluations a step.",
            Heun,
        ),
        Solver(
            "dpm-2m",
            "DPM-Solver++(2M)",
            "Lu et al. 2022",
            1,
            "2",
            "The plain choice for 10 to 20 evaluations.",
            DPMSolver2M,
        ),
        Solver(
            "dpm-2s",
            "DPM-Solver++(2S)",
            "Lu et al. 2022",
            2,
            "2",
            "Without memory, where the denoiser changes between steps.",
            DPMSolver2S,
        ),
        Solver(
            "dpm-3s",
            "DPM-Solver++(3S)",
            "Lu et al. 2022",
            3,
            "3",
            "Third order without memory.",
            DPMSolver3S,
        ),
        Solver(
            "dpm-3m",
            "DPM-Solver++(3M)",
            "Lu et al. 2022, with the factor of 2 that the published update lacks",
            1,
            "3",
            "More than 15 evaluations of a smooth denoiser.",
            DPMSolver3M,
        ),
        Solver(
            "dpm-3m-published",
            "DPM-Solver++(3M), as published",
            "Lu et al. 2022",
            1,
            "2",
            "To repeat results of other packages.",
            lambda: DPMSolver3M(published=True),
        ),
        Solver(
            "unipc-2",
            "UniPC-2 (bh2)",
            "Zhao et al. 2023",
            1,
            "3",
            "10 to 20 evaluations.",
            lambda: UniPC(2),
        ),
        Solver(
            "unipc-3",
            "UniPC-3 (bh2)",
            "Zhao et al. 2023",
            1,
            "4",
            "The most accurate from 16 evaluations on.",
            lambda: UniPC(3),
        ),
        Solver("plms", "PLMS", "Liu et al. 2022", 1, "2", "Good with 8 to 10 evaluations.", PNDM),
        Solver(
            "f-pndm",
            "F-PNDM",
            "Liu et al. 2022",
            1,
            "2",
            "As published; 9 evaluations more at the start.",
            lambda: PNDM("runge-kutta"),
        ),
        Solver(
            "evodiff",
            "EVODiff",
            "Li et al. 2025",
            1,
            "1",
            "For trained networks and few steps; worse than DPM-Solver++(2M) on exact denoisers.",
            EVODiff,
        ),
        Solver(
            "deis",
            "DEIS, rho-AB 3",
            "Zhang and Chen 2023",
            1,
            "3",
            "Many steps from moderate noise.",
            lambda: DEIS(3),
        ),
        Solver(
            "ancestral",
            "Ancestral (DDPM)",
            "Ho et al. 2020",
            1,
            "1 in law",
            "Stochastic; forgets errors; what guidance is run with.",
            Ancestral,
        ),
        Solver(
            "dpm-2m-sde",
            "SDE-DPM-Solver++(2M)",
            "Lu et al. 2022",
            1,
            "2 in law",
            "Stochastic with fewer steps.",
            lambda: DPMSolver2M(sde=True),
        ),
    )
}

POSTERIOR_SAMPLERS: dict[str, PosteriorSampler] = {
    entry.name: entry
    for entry in (
        PosteriorSampler(
            "smc",
            "Twisted sequential Monte Carlo",
            "Wu et al. 2023",
            "linear A",
            "1 + 1 VJP, low levels up to twice",
            "Competing modes, and the evidence: within half a nat from 50 steps on. Particles of "
            "one item share ancestors: with few steps their own intervals are too narrow. Images "
            "have too many data to weigh particles: there it is pigdm.",
            _particles,
            evidence=True,
        ),
        PosteriorSampler(
            "mmps",
            "Moment matching (MMPS, 3 Krylov steps)",
            "Rozet et al. 2024",
            "any A",
            "1 + 3 VJP",
            "The default: no weight to choose, exact for a Gaussian prior.",
            guided(lambda d, m: MMPS(d, m, 3), evidence=True),
            evidence=True,
        ),
        PosteriorSampler(
            "gibbs",
            "Split Gibbs",
            "Coeurdoux et al. 2024, one-step form",
            "linear A",
            "1",
            "The cheapest that improves with steps: 100 of them for masks and blur.",
            stepped(lambda run: Ancestral(fresh), refined=True),
        ),
        PosteriorSampler(
            "pigdm",
            "Pseudo-inverse guidance (PiGDM)",
            "Song et al. 2023",
            "any A",
            "1 + 1 VJP",
            "One VJP a step, no weight.",
            guided(PiGDM),
        ),
        PosteriorSampler(
            "flowdps",
            "Proximal step, noise from the prior (FlowDPS)",
            "Kim et al. 2025",
            "any A",
            "1",
            "No VJP. Little noise and data that leave much open; its draws are too narrow for "
            "noisy or blurred data.",
            guided(DiffPIR, noise_from_prior=True, step=Ancestral),
        ),
        PosteriorSampler(
            "diffpir",
            "Proximal step (DiffPIR)",
            "Zhu et al. 2023",
            "any A",
            "1",
            "No VJP; biased, however many steps: the mean of the draws is what it is for.",
            guided(DiffPIR),
        ),
        PosteriorSampler(
            "dps",
            "Gradient of the residual's norm (DPS, zeta 10)",
            "Chung et al. 2023",
            "any A",
            "1 + 1 VJP",
            "20 steps or more. Its weight has to be tuned to the problem: 3 to 30 on the oracles.",
            guided(lambda d, m: DPS(d, m, 10.0), step=Ancestral),
        ),
        PosteriorSampler(
            "dds",
            "Proximal step of fixed weight (DDS, gamma 1)",
            "Chung et al. 2024",
            "any A",
            "1",
            "Reference.",
            guided(DDS),
        ),
        PosteriorSampler(
            "ddnm",
            "Null space (DDNM)",
            "Wang et al. 2023",
            "any A",
            "1",
            "Data without noise of a well-conditioned operator.",
            guided(DDNM),
        ),
        PosteriorSampler(
            "tmpd",
            "Moment projection, clamped (TMPD)",
            "Boys et al. 2024",
            "any A",
            "1 + 2 VJP",
            "Masks, denoising and noisy data; not clean data of an operator that mixes.",
            guided(TMPD, step=Ancestral),
        ),
        PosteriorSampler(
            "ddrm",
            "Spectral restoration (DDRM)",
            "Kawar et al. 2022",
            "A with a simple SVD",
            "1",
            "Masks, blur with a dense matrix, one-coil Fourier masks; no VJP. Its draws are "
            "somewhat narrow.",
            stepped(lambda run: DDRM(run.linear, data_std=run.prior.data_std)),
        ),
        PosteriorSampler(
            "repaint",
            "RePaint, 3 rounds",
            "Lugmayr et al. 2022",
            "a mask",
            "3",
            "Inpainting of data without noise; no VJP.",
            stepped(lambda run: RePaint(run.linear, 3)),
        ),
        PosteriorSampler(
            "flowchef",
            "FlowChef, strength 1",
            "Patel et al. 2024",
            "any A",
            "2",
            "Steering where a VJP is too dear.",
            stepped(lambda run: FlowChef(run.measurement)),
        ),
        PosteriorSampler(
            "sitcom",
            "SITCOM, 10 inner steps, rate .3",
            "Alkhouri et al. 2025",
            "any A",
            "11 + 10 VJP",
            "Point estimates; its intervals are too narrow where the data say much.",
            stepped(lambda run: SITCOM(run.measurement, run.count, 10, 0.3)),
        ),
        PosteriorSampler(
            "daps",
            "DAPS, 5 inner steps",
            "Zhang et al. 2025",
            "linear A",
            "5",
            "Reference; split Gibbs is better for the same evaluations.",
            stepped(
                lambda run: Ancestral(fresh),
                refined=True,
                prior=lambda run: ODESolve(run.prior, 5, sigma_min=_last_level(run)),
            ),
        ),
        PosteriorSampler(
            "pnp-dm",
            "PnP-DM, 10 inner steps, 3 rounds a step",
            "Wu et al. 2024",
            "linear A",
            "33",
            "Masks and blur where evaluations are cheap: the smallest distance without a VJP.",
            _pnp_dm,
        ),
        PosteriorSampler(
            "mmps-adaptive",
            "Moment matching, corrections reused where small (adaptive guidance)",
            "Castillo et al. 2023",
            "any A",
            "1 + up to 3 VJP",
            "As mmps, with fewer VJPs at the last levels of grids that end far below the noise.",
            _adaptive,
        ),
        PosteriorSampler(
            "mgdm",
            "Gibbs steps with a level in between (MGDM, 5 gradients, 10 inner steps)",
            "Janati et al. 2025",
            "any A",
            "16 + 5 VJP",
            "Reference; masks where evaluations are cheap.",
            stepped(lambda run: MGDM(run.measurement, 5, 10, rate=1.0)),
        ),
        PosteriorSampler(
            "stsl",
            "Second-order Tweedie (STSL, zeta 10, eta .02)",
            "Rout et al. 2024",
            "any A, real data",
            "3 + 3 VJP",
            "Reference; as dps, with a correction that vanishes for Gaussian priors.",
            guided(lambda d, m: STSL(d, m, 10.0), step=Ancestral),
        ),
        PosteriorSampler(
            "red-diff",
            "Variational fit (RED-diff, weight .25, rate .1)",
            "Mardani et al. 2024",
            "linear A",
            "1",
            "A point estimate; its draws are no posterior samples and have no spread to read.",
            _red_diff,
        ),
    )
}

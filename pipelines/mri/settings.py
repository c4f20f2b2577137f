"""What a quality level means, for a prior and for a model that sees the measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import InputError
from sciddm.guidance import MMPS, DiffPIR, Guided, Informed
from sciddm.physics import Measurement
from sciddm.pipelines.engine.quality import of_quality
from sciddm.priors.symmetric import Symmetric, conjugate, mirror

if TYPE_CHECKING:
    from sciddm.pipelines.mri.slices import SliceChains

__all__ = [
    "CONDITIONAL",
    "QUALITIES",
    "ConditionalSettings",
    "PriorSettings",
    "Settings",
    "settings_for",
]


@dataclass(frozen=True, kw_only=True)
class Settings(ABC):
    """What a quality level means; every value is written into the result.

    Attributes:
        samples: posterior samples K; the estimate is their mean.
        steps: noise levels of each after the first.
        start: iterations of the total variation image that sampling starts from (``start``); 0 for
            regularised least squares.
        sigma_max: level at which it starts.
        sigma_min: level at which it ends.
        iterations: conjugate gradient steps that put the data into an estimate.
        finer: pixels of the image that is sampled for each of the scan's, along an axis, in scans
            of small matrices; see ``sampling.grid_of``.
        spread: factor on the samples' standard deviation that makes the 90 % interval hold the
            truth in 90 % of the pixels of the head; the model's card may say it for the model.
        pooling: pixels over which the standard deviation is pooled, 0 for none; the factor belongs
            to it.
    """

    samples: int
    steps: int
    start: int
    sigma_max: float
    sigma_min: float = 0.02
    iterations: int = 8
    finer: float = 1.0
    spread: float = 1.0
    pooling: float = 0.0

    @property
    def evaluations(self) -> int:
        """Network evaluations and VJPs of all samples together; a VJP costs about as much."""
        return self.samples * (self.steps + 1)

    @property
    def levels(self) -> int:
        """Evaluations one after the other, those before the samples among them."""
        return -(-self.samples // 2) * (self.steps + 1)

    def attributes(self) -> dict[str, Any]:
        """As a result holds them: numbers and text."""
        return asdict(self)

    def _seen(self, denoiser: Denoiser, levels: Sequence[float], first: int = 0) -> Denoiser:
        """The denoiser as sampling uses it: through ``levels``, from the ``first`` item on.

        Seen in a mirror and with the phase turned round: heads are as likely that way.
        """
        return Symmetric(denoiser, (mirror, conjugate), levels, first)

    @abstractmethod
    def quick(self) -> Settings:
        """Those of a first pass with two samples, in a twentieth of the evaluations of
        "balanced"."""

    def begin(self, chains: SliceChains, first: Tensor) -> Tensor:
        """The image (1, 1, y, x) that samples start from, made of the one of total variation."""
        return first

    @abstractmethod
    def guide(
        self,
        denoiser: NetworkDenoiser,
        measurement: Measurement,
        estimate: Tensor,
        levels: Sequence[float],
        first: int = 0,
    ) -> Guided:
        """The denoiser, told of the measurement, for one chain through ``levels``.

        Args:
            denoiser: the model.
            measurement: what it is told of.
            estimate: image (1, 1, y, x) that the chain begins at.
            levels: the grid.
            first: number of the chain's first item, where samples come in several batches.
        """


@dataclass(frozen=True, kw_only=True)
class PriorSettings(Settings):
    """With a prior, which knows nothing of scans.

    Attributes:
        approach: what an antithetic pair of samples does before, as (levels after the first, level
            at which they start): each starts from the mean of the one before, and the samples
            from that of the last.
        krylov: conjugate gradient steps of MMPS, one VJP each.
        inflation: noise added for MMPS, in units of the noise level.
        precondition: conjugate gradient steps of MMPS's preconditioner, 0 for none.
        lam: weight of the prior in the proximal step that follows it.
    """

    start: int = 250
    sigma_max: float = 0.2
    finer: float = 1.25
    approach: tuple[tuple[int, float], ...] = ()
    krylov: int = 3
    inflation: float = 0.0
    precondition: int = 0
    lam: float = 2.0

    @property
    def evaluations(self) -> int:
        """See ``Settings``."""
        before = 2 * sum(steps + 1 for steps, _ in self.approach)
        return (before + super().evaluations) * self.each

    @property
    def levels(self) -> int:
        """See ``Settings``."""
        return super().levels + sum(steps + 1 for steps, _ in self.approach)

    @property
    def each(self) -> int:
        """Network evaluations and VJPs at each noise level."""
        return 1 + self.krylov

    def quick(self) -> Settings:
        """See ``Settings``."""
        return replace(QUALITIES["fast"], samples=2, approach=(), spread=self.spread)

    def attributes(self) -> dict[str, Any]:
        """See ``Settings``."""
        told = ", ".join(f"{steps} from {sigma:g}" for steps, sigma in self.approach)
        return {**super().attributes(), "approach": told or "none"}

    def begin(self, chains: SliceChains, first: Tensor) -> Tensor:
        """See ``Settings``: a short chain changes little of what the data do not say, and several
        change more than one as long as all of them."""
        for number, (steps, sigma) in enumerate(self.approach):
            first = chains.draw(chains.pair(number), first, steps, sigma).mean(0, keepdim=True)
        return first

    def guide(
        self,
        denoiser: NetworkDenoiser,
        measurement: Measurement,
        estimate: Tensor,
        levels: Sequence[float],
        first: int = 0,
    ) -> Guided:
        """See ``Settings``.

        MMPS knows how the prior ties what was not measured to what was, but its few conjugate
        gradient steps do not reach the data; the proximal step does.
        """
        seen = self._seen(denoiser, levels, first)
        informed = MMPS(
            seen,
            measurement,
            self.krylov,
            self.inflation,
            precondition=self.precondition,
        )
        return DiffPIR(informed, measurement, self.lam)


@dataclass(frozen=True, kw_only=True)
class ConditionalSettings(Settings):
    """With a model that is shown estimates of the image.

    Attributes:
        rounds: evaluations before sampling, without a state, each shown what the one before found
            through another symmetry; samples start from the last.
    """

    rounds: int
    start: int = 400

    @property
    def evaluations(self) -> int:
        """See ``Settings``."""
        return self.rounds + super().evaluations

    @property
    def levels(self) -> int:
        """See ``Settings``."""
        return self.rounds + super().levels

    def quick(self) -> Settings:
        """See ``Settings``."""
        fast = CONDITIONAL["fast"]
        return replace(fast, rounds=2, samples=2, start=100, spread=self.spread)

    def begin(self, chains: SliceChains, first: Tensor) -> Tensor:
        """See ``Settings``: what the rounds find."""
        denoiser, m = chains.denoiser, chains.measurement
        errors, t = denoiser.estimate_errors, denoiser.process.t_max
        _, _, s = denoiser.process(t)
        estimate, state = first, s * chains.white(chains.pair(0)[:1], first)
        for k in range(self.rounds):
            error = errors[min(k, len(errors) - 1)]
            with torch.no_grad():
                estimate = self._informed(denoiser, m, estimate, [t], error, k)(state, t)
            chains.callback()
        return estimate

    def guide(
        self,
        denoiser: NetworkDenoiser,
        measurement: Measurement,
        estimate: Tensor,
        levels: Sequence[float],
        first: int = 0,
    ) -> Guided:
        """See ``Settings``: a chain that goes on from what the rounds found."""
        error = denoiser.estimate_errors[-1]
        return self._informed(denoiser, measurement, estimate, levels, error, first)

    def _informed(
        self,
        denoiser: NetworkDenoiser,
        measurement: Measurement,
        estimate: Tensor,
        levels: Sequence[float],
        error: float,
        first: int,
    ) -> Informed:
        known = [float(denoiser.process.sigma(t)) for t in levels]
        both = [denoiser.process.time((s**-2 + error**-2) ** -0.5) for s in known]
        return Informed(self._seen(denoiser, both, first), measurement, [error], estimate)


# Chosen on tuning slices of the validation patients, away from those of the benchmark, at R = 8 and
# with the phase of a gradient echo at R = 6. There starting from total variation was worth 0 to
# 3 dB, the approach 0.5 to 1.3 dB for a fifth more evaluations (fast: 0 to 0.3 dB for none), the
# proximal step after MMPS 0.3 dB, symmetries of the prior 0.1 dB for nothing, and two antithetic
# pairs 0.15 dB more than one; a fifth Krylov step diverged unless the noise was inflated. Inflating
# it gains 0.1 to 0.5 dB where the prior fits badly and loses 0.3 dB in the cleanest scans at R = 8.
QUALITIES: dict[str, PriorSettings] = {
    "fast": PriorSettings(
        samples=4, steps=2, sigma_max=0.15, approach=((2, 0.35),), start=100, krylov=1, spread=1.6
    ),
    "balanced": PriorSettings(
        samples=4,
        steps=4,
        sigma_max=0.15,
        approach=((7, 0.5), (5, 0.35), (4, 0.25)),
        start=200,
        inflation=0.15,
        spread=1.25,
    ),
    "best": PriorSettings(
        samples=8,
        steps=8,
        approach=((12, 0.5), (10, 0.35), (8, 0.25)),
        krylov=4,
        inflation=0.1,
        spread=1.3,
    ),
}

# Chosen on the same slices: at R = 8, 10 evaluations in all were worth 28.9 dB, 12 29.0 and 40
# 29.2 dB (prior, 58 and 174 VJPs: 28.8). Rounds beyond those of the training lose again: of 40
# evaluations, 8 rounds 29.2 dB, 20 rounds 29.0. A last level of .004, not .02, is worth .01 in
# SSIM, for it is the noise in the dark; 400 iterations of total variation, not 100, .2 dB.
CONDITIONAL: dict[str, ConditionalSettings] = {
    "fast": ConditionalSettings(
        rounds=6, samples=2, steps=1, sigma_max=0.03, sigma_min=0.005, spread=1.6
    ),
    "balanced": ConditionalSettings(
        rounds=8, samples=4, steps=7, sigma_max=0.2, sigma_min=0.004, spread=1.6
    ),
    "best": ConditionalSettings(
        rounds=8, samples=8, steps=8, sigma_max=0.2, sigma_min=0.004, spread=1.6
    ),
}


def settings_for(denoiser: NetworkDenoiser, quality: str, samples: int | None = None) -> Settings:
    """What a quality level means with a model.

    Raises:
        InputError: no such quality, or a single sample.
    """
    levels: Mapping[str, Settings] = CONDITIONAL if denoiser.sees_estimate else QUALITIES
    settings = of_quality(levels, quality)
    if samples is None:
        return settings
    if samples < 2:
        raise InputError("at least 2 samples are needed: one has no standard deviation")
    return replace(settings, samples=samples)

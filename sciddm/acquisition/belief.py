"""What is believed about an image while its measurement is under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from sciddm.denoiser import Denoiser
from sciddm.guidance.base import Guided
from sciddm.physics.measurement import Measurement
from sciddm.random.streams import AntitheticStreams, fold
from sciddm.sampling import Ancestral, Step, sample

__all__ = ["Belief"]

Guide = Callable[[Denoiser, Measurement], Guided]


class Belief:
    """N particles that go down one reverse process together, a leg at a time.

    Between two legs the measurement may grow: every leg is guided by what is known by then, so
    the particles settle while data come in (Active Diffusion Subsampling). They come in antithetic
    pairs. Guidance is per particle: what one becomes does not depend on how many there are.

    Args:
        denoiser: the prior.
        guide: makes guidance of the prior and a measurement.
        grid: decreasing times; one leg for each pair of neighbours.
        start: where the particles begin (1, ...): they are it plus noise of the first time.
        particles: N, even.
        seed: of all noise.
        step: of the sampler.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        guide: Guide,
        grid: Sequence[float],
        start: Tensor,
        *,
        particles: int = 8,
        seed: int = 0,
        step: Step | None = None,
    ) -> None:
        if particles < 2 or particles % 2:
            raise ValueError(f"{particles} particles: an even number is needed")
        self.denoiser = denoiser
        self.guide = guide
        self.grid = list(grid)
        self.leg = 0
        self.seed = seed
        self.step = step or Ancestral()
        self.items = list(range(particles))
        a, _, s = denoiser.process(self.grid[0])
        mean = start.expand(particles, *start.shape[1:])
        noise = AntitheticStreams(seed, self.items).randn(mean, step=2**31)
        self.state = a * mean + s * noise

    @property
    def legs_left(self) -> int:
        """How many legs of the reverse process remain."""
        return len(self.grid) - 1 - self.leg

    @property
    def spread(self) -> float:
        """Variance of x0 around a particle's estimate, for white data; see Denoiser.spread."""
        return self.denoiser.spread(self.grid[self.leg])

    def advance(self, measurement: Measurement) -> tuple[Tensor, float]:
        """One leg with what is measured by now.

        Returns:
            The particles' estimates E[x0 | x_t, y] (N, ...) at the leg's beginning, and the
            variance of x0 around them (``spread`` there).

        Raises:
            ValueError: no leg is left.
        """
        if not self.legs_left:
            raise ValueError("the reverse process is at its end")
        estimates: list[Tensor] = []
        uncertainty = self.spread
        self.state = sample(
            self.guide(self.denoiser, measurement),
            self.state,
            self.grid[self.leg : self.leg + 2],
            self.step,
            generator=AntitheticStreams(fold(self.seed, self.leg), self.items),
            callback=lambda i, n, x, estimate: estimates.append(estimate),
            denoise_last=False,
        )
        self.leg += 1
        return estimates[-1], uncertainty

"""Adaptive guidance: a correction that has become small is not computed anew."""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.guidance.base import Guidance, prior_means
from sciddm.process import Scalar

__all__ = ["Adaptive"]


class Adaptive(Guidance):
    """Guidance until |x0^_y - x0^| < tolerance r sqrt(n) at ``patience`` evaluations in a row.

    r^2 = ``spread`` is the variance of x0 given x_t: sigma^2 at little noise, and that of the data
    at much, where a correction of their size is small beside sigma and yet all there is.

    From then on the last correction, which goes with s^2/a = (s/a)^2 a as Tweedie's formula says,
    stands for what guidance would add::

        x0^ + (s_t^2/a_t) / (s_k^2/a_k) (x0^_y - x0^)_k

    and its VJPs are saved. Castillo et al., Adaptive Guidance: Training-free Acceleration of
    Conditional Diffusion Models, 2023, section 4, who stop where the two estimates of the noise
    agree (cosine above .991) and reuse nothing. Each item decides for itself; the saving begins
    when all items of the batch have decided, their results do not depend on it.

    It keeps book of one run: make a new one for each.

    Args:
        guided: any guidance.
        tolerance: of the correction's root mean square, in units of r; 0 never stops.
        patience: evaluations in a row.
        reuse: False leaves the correction out afterwards, as published.
    """

    def __init__(
        self,
        guided: Guidance,
        tolerance: float = 0.02,
        patience: int = 2,
        *,
        reuse: bool = True,
    ) -> None:
        super().__init__(guided)
        self.tolerance, self.patience, self.reuse = tolerance, patience, reuse
        self._small: Tensor | None = None
        self._last: Tensor | None = None  # the correction over s^2/a, where it was last computed

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        a, _, s = self.process(t)
        unit = float(s**2 / a)
        if self._small is None:
            self._small = torch.zeros(x_t.shape[0], dtype=torch.long, device=x_t.device)
        finished = self._small >= self.patience
        out: Tensor
        if bool(finished.all()):
            assert self._last is not None
            out = self.prior(x_t, t, y, cond) + unit * self._last
            return out
        with prior_means(self.denoiser) as means:
            guided = self.denoiser(x_t, t, y, cond)
        change = guided - means[0]
        item = finished.reshape(-1, *[1] * (x_t.ndim - 1))
        fresh = change / unit if unit else torch.zeros_like(change)
        if self._last is None:
            self._last = fresh
        out = torch.where(item, means[0] + unit * self._last, guided)
        size = change.abs().square().flatten(1).mean(1).sqrt()
        small = size < self.tolerance * self.spread(float(t)) ** 0.5
        reserve = fresh if self.reuse else torch.zeros_like(fresh)
        self._last = torch.where(item, self._last, reserve)
        self._small = torch.where(finished, self._small, torch.where(small, self._small + 1, 0))
        return out

"""Stochastic regeneration: a predictor's estimate, and a diffusion between it and the clean data.

Lemercier et al., StoRM: A Diffusion-based Stochastic Regeneration Model for Speech Enhancement
and Dereverberation, 2023. The process runs between x0 and D(y) in place of y, and the denoiser
sees x_t, D(y) and y (their condition "both")::

    x_t = a x0 + b D(y) + s z

With OUVE this is StoRM, with SB-VE a Schroedinger bridge from the predictor's estimate.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.priors.predictor import Predictor
from sciddm.process import Process

__all__ = ["StochasticRegeneration"]

Target = Literal["output", "data"]


class StochasticRegeneration(nn.Module):
    """A predictor and the denoiser that regenerates from its estimate.

    To sample: ``endpoint = model.predictor(y)``, then ``sample(model.denoiser, x, grid, step,
    y=endpoint, cond=y)``.

    Args:
        predictor: D.
        denoiser: of a process with an endpoint; its network takes y (two real channels per
            complex one) as conditioning.
        alpha: weight of the predictor's loss, 1 - alpha of the denoiser's; see ``loss``. With
            alpha = 0 the predictor is left as it is.
        target: what the denoiser's loss measures: "output", the network's own output (for the
            score this is StoRM's score matching), or "data", the predictor's criterion on x0^
            (data prediction, Jukic et al. 2024, section 3.3, with their auxiliary loss).
    """

    def __init__(
        self,
        predictor: Predictor,
        denoiser: NetworkDenoiser,
        *,
        alpha: float = 0.5,
        target: Target = "output",
    ) -> None:
        super().__init__()
        if not denoiser.process.has_endpoint:
            raise ValueError("regeneration needs a process with an endpoint")
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha is the weight of the predictor's loss, in [0, 1), not {alpha}")
        if target not in ("output", "data"):
            raise ValueError(f"unknown target {target!r}; known: output, data")
        self.predictor = predictor
        self.denoiser = denoiser
        self.alpha = alpha
        self.target = target
        if alpha == 0:
            predictor.requires_grad_(False)

    @property
    def process(self) -> Process:
        """The denoiser's process."""
        return self.denoiser.process

    def loss(self, x0: Tensor, t: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        """alpha criterion(D(y), x0) + (1 - alpha) L(x0, t, D(y), y), per item: (B,).

        L is ``denoiser.loss`` or the criterion on x0^, by ``target``. All are means over an
        item's entries, where StoRM's eq. 16 has sums: the same ratio, but a gradient that does
        not grow with the crop. As published, L also moves the predictor, unless alpha = 0.

        Args:
            x0: clean data (B, C, F, T), complex.
            t: one time per item (B,).
            y: degraded data, the shape of x0.
            z: unit noise in the type of x0; drawn from the global generator if not given.
        """
        trained = self.alpha > 0
        with nullcontext() if trained else torch.no_grad():
            endpoint = self.predictor(y)
        if self.target == "output":
            loss = self.denoiser.loss(x0, t, endpoint, y, z)
        else:
            x_t = self.process.add_noise(x0, t, endpoint, z)
            loss = self.predictor.criterion(self.denoiser(x_t, t, endpoint, y), x0)
        if not trained:
            return loss
        return self.alpha * self.predictor.criterion(endpoint, x0) + (1 - self.alpha) * loss

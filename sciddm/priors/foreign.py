"""Networks trained elsewhere, as priors.

Each function takes a network as its own package calls it and returns a ``Denoiser``, with which
every sampler and guidance works. Nothing of that package is imported. A network sees
(x - center) / scale, so that data keep their units outside; for a model of images in [-1, 1] and
data in [0, 1] that is scale .5, center .5. Nothing is clipped: clipping inside guidance biases it.

=================  ==========================================================  =====================
function           the network                                                 packages
=================  ==========================================================  =====================
``from_ddpm``      F(x_t, k) of a discrete schedule: noise, v or x0             diffusers, guided-
                                                                               diffusion (ADM)
``from_edm``       D(w, sigma) = E[x0 | w], w = x0 + sigma z                    EDM, k-diffusion,
                                                                               deepinv, DRUNet
``from_schedule``  D(x_t, t) with ``.mean``, and a schedule t -> (alpha, sigma)  azula
=================  ==========================================================  =====================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sciddm.denoiser import Denoiser
from sciddm.errors import ModelError
from sciddm.ledger import record
from sciddm.process import DDPM, EDM, Process, Scalar, expand

__all__ = ["Schedule", "from_ddpm", "from_edm", "from_schedule"]

Prediction = Literal["epsilon", "v_prediction", "sample"]


class _Foreign(Denoiser):
    """What all share: the range of the data, and the count of evaluations."""

    def __init__(
        self,
        network: Callable[..., Any],
        process: Process,
        data_std: float,
        scale: float,
        center: float,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ModelError(f"the scale of the network's data is above 0, not {scale}")
        if isinstance(network, nn.Module):
            self.network = network.eval().requires_grad_(False)
        self._call = network
        self.process, self.data_std = process, data_std
        self.scale, self.center = scale, center

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        record(nfe=x_t.shape[0])
        # s is in data units; the network's own noise is s / scale.
        a, _, s = (expand(c, x_t) for c in self.process(t))
        x = (x_t - a * self.center) / self.scale
        mean = self._mean(x, t, a, s / self.scale, cond)
        if mean.shape != x_t.shape:
            raise ModelError(
                f"the network gives {tuple(mean.shape)} for data of {tuple(x_t.shape)}: another "
                "number of channels, or an output that is not the denoised image"
            )
        return mean.to(x_t.dtype) * self.scale + self.center

    def _mean(self, x: Tensor, t: Scalar, a: Scalar, s: Scalar, cond: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _per_item(self, value: Scalar, x: Tensor) -> Tensor:
        """(B,), as foreign networks take their level."""
        return torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(x.shape[0])


def _sigma_in_data_units(process: Process, scale: float) -> Process:
    return process if scale == 1 else _Scaled(process, scale)


class _Scaled(Process):
    """A process of the network's units in data units: s is ``scale`` times as large."""

    def __init__(self, process: Process, scale: float) -> None:
        self._process, self._scale = process, scale

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return self._process.t_min

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return self._process.t_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, s = self._process.coefficients(t)
        return a, b, self._scale * s


class _Discrete(_Foreign):
    def __init__(
        self,
        network: Callable[..., Any],
        schedule: DDPM,
        prediction: Prediction,
        whole_steps: bool,
        **settings: float,
    ) -> None:
        process = _sigma_in_data_units(schedule, settings["scale"])
        super().__init__(network, process, **settings)
        self.schedule, self.prediction, self.whole_steps = schedule, prediction, whole_steps

    def _mean(self, x: Tensor, t: Scalar, a: Scalar, s: Scalar, cond: Tensor | None) -> Tensor:
        k = self._per_item(self.schedule.index(t), x).clamp(0, self.schedule.steps - 1)
        if self.whole_steps:
            k = k.round().long()
        out = self._call(x, k) if cond is None else self._call(x, k, cond)
        out = out.sample if hasattr(out, "sample") and not isinstance(out, Tensor) else out
        if out.shape[1] == 2 * x.shape[1]:  # learned variances: the first half is the prediction
            out = out[:, : x.shape[1]]
        if self.prediction == "epsilon":
            answer: Tensor = (x - s * out) / a
            return answer
        answer = a * x - s * out if self.prediction == "v_prediction" else out
        return answer


def from_ddpm(
    network: Callable[..., Any],
    schedule: DDPM | None = None,
    prediction: Prediction = "epsilon",
    *,
    data_std: float = 0.5,
    scale: float = 1.0,
    center: float = 0.0,
    whole_steps: bool = False,
) -> Denoiser:
    """A network of a discrete schedule, called with the index k (B,) of a noise level.

    D = (x_t - s F)/a for noise, a x_t - s F for v, F for x0, with a^2 + s^2 = 1. Where the noise
    level lies between two indices k is not whole, linear in ln(s/a) between them.

    Args:
        network: F(x_t, k) or F(x_t, k, cond); a tensor, or an object with ``sample`` as diffusers
            gives it. Twice the channels are taken for learned variances, whose first half counts.
        schedule: ``DDPM()`` if not given; ``DDPM(.00085, .012, 2)`` for latent diffusion,
            ``DDPMCosine()`` for improved DDPM.
        prediction: what it predicts, in diffusers' words.
        data_std: of the data, in data units.
        scale, center: the network sees (x - center) / scale.
        whole_steps: round k, for networks that look it up in a table. The state's noise then
            differs from what the network is told by half a step.

    Raises:
        ModelError: an unknown prediction.
    """
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ModelError(f"unknown prediction {prediction!r}: epsilon, v_prediction or sample")
    settings = {"data_std": data_std, "scale": scale, "center": center}
    return _Discrete(network, schedule or DDPM(), prediction, whole_steps, **settings)


class _ByLevel(_Foreign):
    def __init__(
        self,
        network: Callable[..., Any],
        sigma_min: float,
        sigma_max: float,
        level_map: bool,
        **settings: float,
    ) -> None:
        scale = settings["scale"]
        super().__init__(network, EDM(sigma_min * scale, sigma_max * scale), **settings)
        self.level_map = level_map

    def _mean(self, x: Tensor, t: Scalar, a: Scalar, s: Scalar, cond: Tensor | None) -> Tensor:
        level = self._per_item(s if not isinstance(s, Tensor) else s.flatten(), x)
        if self.level_map:
            shape = (x.shape[0], 1, *x.shape[2:])
            level = level.reshape(-1, *[1] * (x.ndim - 1)).expand(shape)
            out: Tensor = self._call(torch.cat([x, level], dim=1))
            return out
        denoised: Tensor = self._call(x, level) if cond is None else self._call(x, level, cond)
        return denoised


def from_edm(
    network: Callable[..., Any],
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    data_std: float = 0.5,
    scale: float = 1.0,
    center: float = 0.0,
    level_map: bool = False,
) -> Denoiser:
    """A denoiser of Gaussian noise of a known level: D(w, sigma) with sigma (B,).

    Any network that was trained to remove white noise of various levels is a prior, by Tweedie's
    formula; it is as good as its training covers the levels, of which samplers need high ones.

    Args:
        network: D(w, sigma) or D(w, sigma, cond).
        sigma_min, sigma_max: the levels that it was trained with, in the network's units.
        data_std: of the data, in data units.
        scale, center: the network sees (x - center) / scale.
        level_map: it takes the level as a further channel of w, as DRUNet does.
    """
    settings = {"data_std": data_std, "scale": scale, "center": center}
    return _ByLevel(network, sigma_min, sigma_max, level_map, **settings)


class Schedule(Process):
    """The process of a function t -> (alpha, sigma), as azula's schedules are.

    Args:
        function: of float64 times (...), differentiable.
        t_min, t_max: times between which the network was trained.
    """

    def __init__(
        self,
        function: Callable[[Tensor], tuple[Tensor, Tensor]],
        t_min: float = 1e-3,
        t_max: float = 1.0,
    ) -> None:
        self._function, self._bounds = function, (t_min, t_max)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return self._bounds[0]

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return self._bounds[1]

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, s = self._function(t)
        return a, torch.zeros_like(t), s


class _ByTime(_Foreign):
    def _mean(self, x: Tensor, t: Scalar, a: Scalar, s: Scalar, cond: Tensor | None) -> Tensor:
        at = self._per_item(t, x)
        out = self._call(x, at) if cond is None else self._call(x, at, cond)
        mean: Tensor = out if isinstance(out, Tensor) else out.mean
        return mean


def from_schedule(
    network: Callable[..., Any],
    schedule: Callable[[Tensor], tuple[Tensor, Tensor]],
    *,
    t_min: float = 1e-3,
    t_max: float = 1.0,
    data_std: float = 1.0,
    scale: float = 1.0,
    center: float = 0.0,
) -> Denoiser:
    """A denoiser of x_t = alpha x0 + sigma z that is told the time: D(x_t, t) with t (B,).

    Args:
        network: the mean, or an object with ``mean``, such as azula's posteriors.
        schedule: t -> (alpha, sigma), in the network's units.
        t_min, t_max: times between which it was trained.
        data_std: of the data, in data units.
        scale, center: the network sees (x - center) / scale.
    """
    process = _sigma_in_data_units(Schedule(schedule, t_min, t_max), scale)
    return _ByTime(network, process, data_std, scale, center)

"""Diffusion processes as coefficient functions.

Every process here is affine and Gaussian, with an optional second endpoint ``y``::

    x_t = a(t) x0 + b(t) y + s(t) z,      z ~ N(0, I)

``t`` grows with the noise: ``t = 0`` is clean data. A process is nothing but ``t -> (a, b, s)``,
so that ``u_t = x_t - b(t) y`` is an ordinary diffusion with coefficients ``(a, s)`` and one set
of samplers serves all of them.

Complex data: ``z`` is circular with ``E|z|^2 = 1`` (1/2 in each component), which is what
``torch.randn_like`` gives for a complex tensor; ``s`` is the standard deviation of the complex
variable.

References:
    Song et al., Score-Based Generative Modeling through SDEs, 2021 (VP, VE).
    Nichol and Dhariwal, Improved DDPM, 2021, eq. 17 (cosine).
    Karras et al., Elucidating the Design Space, 2022 (EDM).
    Liu et al., Flow Straight and Fast, 2022 (rectified flow).
    Richter et al., Speech Enhancement and Dereverberation, 2023, eqs. 10-12 (OUVE).
    Luo et al., Image Restoration with Mean-Reverting SDEs, 2023, eqs. 5-6 (IR-SDE).
    Yue et al., ResShift, 2023, eqs. 1-2, 10.
    Liu et al., Residual Denoising Diffusion Models, 2024, eq. 7 (RDDM).
    Jukic et al., Schroedinger Bridge for Generative Speech Enhancement, 2024, table 1 (SB-VE).
    Song et al., Score-Based Generative Modeling through SDEs, 2021, eq. 29 (sub-VP).
    Li et al., BBDM: Image-to-image Translation with Brownian Bridge Diffusion Models, 2023, eq. 4.
    Shi et al., Resfusion: Denoising Diffusion Probabilistic Models for Image Restoration Based on
        Prior Residual Noise, 2024, eqs. 6-9.
    Lee et al., FlowSE: Flow Matching-based Speech Enhancement, 2025, eq. 8.
    Ho et al., Denoising Diffusion Probabilistic Models, 2020, section 4 (discrete schedules).
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from typing import overload

import torch
from torch import Tensor

__all__ = [
    "DDPM",
    "EDM",
    "IRSDE",
    "OUVE",
    "RDDM",
    "SBVE",
    "VE",
    "BrownianBridge",
    "DDPMCosine",
    "FlowSE",
    "Process",
    "RectifiedFlow",
    "ResShift",
    "Resfusion",
    "SubVP",
    "VPCosine",
    "VPLinear",
    "process_from_config",
]

Scalar = float | Tensor


def expand(c: Scalar, like: Tensor) -> Scalar:
    """A per-item coefficient (B,) as (B, 1, ..., 1) beside ``like``, in its real dtype.

    Floats pass through; so do diagonal operators, which already have more than one axis.
    """
    if not isinstance(c, Tensor):
        return c
    dtype = like.real.dtype if like.is_complex() else like.dtype
    c = c.to(like.device, dtype)
    if c.ndim == 1:
        return c.reshape(-1, *(1,) * (like.ndim - 1))
    return c


class Process(ABC):
    """``t -> (a, b, s)``; see the module's docstring.

    ``t_min`` and ``t_max`` bound the times at which a network is evaluated. ``has_endpoint``
    says whether ``b`` is not identically zero, so that ``y`` is needed.
    """

    t_min: float = 1e-3
    t_max: float = 1.0
    has_endpoint: bool = False

    @abstractmethod
    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(a, b, s) at times ``t`` (float64 tensor of any shape), differentiable in ``t``."""

    @overload
    def __call__(self, t: float) -> tuple[float, float, float]: ...
    @overload
    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...
    @overload
    def __call__(self, t: Scalar) -> tuple[Scalar, Scalar, Scalar]: ...
    def __call__(self, t: Scalar) -> tuple[Scalar, Scalar, Scalar]:
        """(a, b, s): floats for a float, float64 tensors for a tensor.

        Floats are computed in double precision and never live on an accelerator, so a sampling
        loop over them causes no synchronisation.
        """
        if isinstance(t, Tensor):
            return self.coefficients(t.double())
        a, b, s = self.coefficients(torch.tensor(float(t), dtype=torch.float64))
        return (_plain(a), _plain(b), _plain(s))

    def rates(self, t: Scalar) -> tuple[Tensor, Tensor, Tensor]:
        """(a', b', s'): derivatives in t, by forward-mode differentiation (float64)."""
        t = torch.as_tensor(t, dtype=torch.float64)
        derivative = torch.func.jvp(self.coefficients, (t,), (torch.ones_like(t),))[1]
        out: tuple[Tensor, Tensor, Tensor] = derivative
        return out

    def sigma(self, t: Scalar) -> Scalar:
        """Noise-to-signal ratio s/a: the noise level in EDM's coordinates u/a."""
        a, _, s = self(t)
        # Where a is 0 nothing of x0 is left, also at a bridge's end where s is 0 as well.
        if isinstance(a, Tensor):
            return torch.where(a == 0, math.inf, s / a)
        return math.inf if a == 0 else s / a

    def time(self, sigma: float) -> float:
        """The t at which ``sigma(t) = sigma``; see ``times``."""
        return float(self.times(torch.tensor(sigma, dtype=torch.float64)))

    def times(self, sigma: Tensor) -> Tensor:
        """The t at which ``sigma(t) = sigma``, by bisection (s/a increases with t).

        Values beyond the process's range give the nearest bound of [0, t_max].
        """
        sigma = sigma.double()
        lo, hi = torch.zeros_like(sigma), torch.full_like(sigma, self.t_max)
        for _ in range(80):
            mid = 0.5 * (lo + hi)
            a, _, s = self(mid)
            below = s < sigma * a
            lo, hi = torch.where(below, mid, lo), torch.where(below, hi, mid)
        return 0.5 * (lo + hi)

    def add_noise(
        self, x0: Tensor, t: Scalar, y: Tensor | None = None, z: Tensor | None = None
    ) -> Tensor:
        """x_t = a x0 + b y + s z.

        Args:
            x0: clean data (B, ...).
            t: one time, or one per item (B,).
            y: second endpoint, the shape of x0; needed if the process has one.
            z: standard normal noise, drawn from torch's global generator if not given.
        """
        a, b, s = (expand(c, x0) for c in self(t))
        z = torch.randn_like(x0) if z is None else z
        return a * x0 + self.shift(b, y) + s * z

    def prior(self, z: Tensor, y: Tensor | None = None, t: float | None = None) -> Tensor:
        """Where sampling starts, from unit noise ``z``.

        Without an endpoint x = s(T) z. With one, the unknown x0 is replaced by y, so that
        x = (a(T) + b(T)) y + s(T) z; for bridges a(T) = s(T) = 0 and x = y exactly.
        """
        a, b, s = self(self.t_max if t is None else t)
        if not self.has_endpoint:
            return s * z
        return self.shift(a + b, y) + s * z

    def shift(self, b: Scalar, y: Tensor | None) -> Tensor | float:
        """b y, with an error where the process needs a ``y`` that is missing."""
        if not self.has_endpoint:
            return 0.0
        if y is None:
            raise ValueError(f"{type(self).__name__} needs its second endpoint y")
        return expand(b, y) * y

    def config(self) -> dict[str, float | str]:
        """Name and parameters, from which ``process_from_config`` builds the process again."""
        values = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        return {"name": type(self).__name__, **values}

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v}" for k, v in self.config().items() if k != "name")
        return f"{type(self).__name__}({fields})"


def _plain(c: Tensor) -> Scalar:
    # A diagonal s (per band, per frequency) stays a tensor; a scalar becomes a float.
    return c.item() if c.ndim == 0 else c


class VPLinear(Process):
    """a = exp(-(beta_max - beta_min) t^2/4 - beta_min t/2), s^2 = 1 - a^2. Song et al., eq. 33."""

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        self.beta_min, self.beta_max = beta_min, beta_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_a = -0.25 * (self.beta_max - self.beta_min) * t**2 - 0.5 * self.beta_min * t
        return log_a.exp(), torch.zeros_like(t), (-torch.expm1(2 * log_a)).sqrt()


class VPCosine(Process):
    """a = cos(angle), s = sin(angle), the angle linear in t from arccos(a_0) to arccos(a_1).

    ``start = 0.95, end = 0.02`` is the variant of Active Diffusion Subsampling, whose s(0) is
    not 0. The default is nearly Nichol and Dhariwal's, without their offset.
    """

    def __init__(self, start: float = 1.0, end: float = 0.001) -> None:
        self.start, self.end = start, end

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return 0.0 if self.start < 1 else 1e-3  # a network sees ln(s/a), so s must not be 0

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, last = math.acos(self.start), math.acos(self.end)
        angle = first + t * (last - first)
        return angle.cos(), torch.zeros_like(t), angle.sin()


class VE(Process):
    """a = 1, s = sigma_min (sigma_max / sigma_min)^t. Song et al., eq. 30 (marginal form)."""

    t_min = 0.0

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = self.sigma_min * torch.exp(t * math.log(self.sigma_max / self.sigma_min))
        return torch.ones_like(t), torch.zeros_like(t), s


class EDM(Process):
    """a = 1, s = t: time is the noise level. Karras et al., table 1."""

    def __init__(self, sigma_min: float = 0.002, sigma_max: float = 80.0) -> None:
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return self.sigma_min

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return self.sigma_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ones_like(t), torch.zeros_like(t), t

    def times(self, sigma: Tensor) -> Tensor:
        return sigma.double().clamp(max=self.sigma_max)


class RectifiedFlow(Process):
    """a = 1 - t, s = t. Straight lines from data to noise (also: flow matching)."""

    t_max = 0.999  # a(1) = 0, where u/a is not defined

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 1 - t, torch.zeros_like(t), t


class OUVE(Process):
    """a = e^{-theta t}, b = 1 - a, dx = theta (y - x) dt + g dw with an exponential g.

    With k = ln(sigma_max / sigma_min) and g = sigma_min e^{k t} sqrt(2k)::

        s^2 = sigma_min^2 (e^{2kt} - e^{-2 theta t}) k / (theta + k)

    Richter et al., eqs. 9-12 (SGMSE+); also the process of StoRM.
    """

    t_min = 0.03
    has_endpoint = True

    def __init__(self, theta: float = 1.5, sigma_min: float = 0.05, sigma_max: float = 0.5) -> None:
        self.theta, self.sigma_min, self.sigma_max = theta, sigma_min, sigma_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k = math.log(self.sigma_max / self.sigma_min)
        a = torch.exp(-self.theta * t)
        growth = torch.exp(2 * k * t) - torch.exp(-2 * self.theta * t)
        return a, 1 - a, (self.sigma_min**2 * growth * k / (self.theta + k)).sqrt()


class IRSDE(Process):
    """a = e^{-theta t}, b = 1 - a, s = lambda sqrt(1 - e^{-2 theta t}): stationary spread lambda.

    Luo et al., eqs. 5-6, with a constant theta (a varying one only re-times the process).
    """

    has_endpoint = True

    def __init__(self, theta: float = 1.2, lam: float = 0.3) -> None:
        self.theta, self.lam = theta, lam

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = torch.exp(-self.theta * t)
        return a, 1 - a, self.lam * (-torch.expm1(-2 * self.theta * t)).sqrt()


class ResShift(Process):
    """a = 1 - eta, b = eta, s = kappa sqrt(eta), eta from eta_min to eta_max.

    sqrt(eta) = sqrt(eta_min) (eta_max/eta_min)^(t^p / 2): the geometric schedule of Yue et al.,
    eq. 10, with their time-warp power p, made continuous in t.
    """

    t_min = 0.0
    has_endpoint = True

    def __init__(
        self,
        kappa: float = 2.0,
        power: float = 0.3,
        eta_min: float = 0.0004,
        eta_max: float = 0.999,
    ) -> None:
        self.kappa, self.power, self.eta_min, self.eta_max = kappa, power, eta_min, eta_max

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        warped = t.clamp(min=1e-60) ** self.power  # 0 to rounding, with a finite derivative
        eta = self.eta_min * torch.exp(warped * math.log(self.eta_max / self.eta_min))
        return 1 - eta, eta, self.kappa * eta.sqrt()


class RDDM(Process):
    """a = 1 - abar, b = abar, s = bbar: residual and noise scheduled apart.

    x_t = x0 + abar (y - x0) + bbar z, Liu et al., eq. 7, with abar = 1 - (1-t)^2 (decreasing
    steps) and bbar = noise t^(1/2) t^(1/2) (increasing steps in variance).
    """

    t_max = 0.999
    has_endpoint = True

    def __init__(self, noise: float = 1.0) -> None:
        self.noise = noise

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        abar = 1 - (1 - t) ** 2
        return 1 - abar, abar, self.noise * t


class SBVE(Process):
    """Schroedinger bridge between x0 and y with an exploding base process.

    With base variance q_t^2 = c (k^{2t} - 1) / (2 ln k) and qbar_t^2 = q_1^2 - q_t^2::

        a = qbar_t^2 / q_1^2,   b = q_t^2 / q_1^2,   s = q_t qbar_t / q_1

    Jukic et al., table 1. a(1) = s(1) = 0: the samplers use the exact limit there.
    """

    t_min = 1e-4
    has_endpoint = True

    def __init__(self, k: float = 2.6, c: float = 0.4) -> None:
        self.k, self.c = k, c

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lnk = math.log(self.k)
        total = self.c * math.expm1(2 * lnk) / (2 * lnk)
        b = torch.expm1(2 * lnk * t) / math.expm1(2 * lnk)
        a = 1 - b
        return a, b, (total * b * a.clamp(min=0.0)).sqrt()


class SubVP(VPLinear):
    """a as of VP, s = 1 - a^2 (s, not s^2): less noise than VP everywhere. Song et al., eq. 29."""

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, s = super().coefficients(t)
        return a, b, s**2


class BrownianBridge(Process):
    """a = 1 - t, b = t, s = sqrt(2 c t (1 - t)): pinned at x0 and y. Li et al., eq. 4.

    c = 1/2 is the stochastic interpolant (1 - t) x0 + t y + sqrt(t (1 - t)) z of Albergo et al.,
    2023, between pairs.
    """

    has_endpoint = True

    def __init__(self, c: float = 1.0) -> None:
        self.c = c

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 1 - t, t, (2 * self.c * t * (1 - t).clamp(min=0.0)).sqrt()


class FlowSE(Process):
    """a = 1 - t, b = t, s = .487 t: a straight flow from y with noise to x0. Lee et al., eq. 8."""

    t_max = 0.999  # a(1) = 0
    has_endpoint = True

    def __init__(self, noise: float = 0.487) -> None:
        self.noise = noise

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 1 - t, t, self.noise * t


class Resfusion(Process):
    """x_t = q x0 + (1 - q)(y - x0) + sqrt(1 - q^2) z: a = 2q - 1, b = 1 - q, s = sqrt(1 - q^2).

    q = sqrt(abar) of the cosine schedule falls from 1 to 1/2, where x = y/2 + .866 z.
    The published reverse step is the transition with ``sampling.resfusion``'s tau. Shi et al.,
    eqs. 6-9; their 12 steps are those of abar at multiples of 1/12 until q = 1/2.
    """

    t_max = 0.999  # a(1) = 0
    has_endpoint = True

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = 0.008 / 1.008 * math.pi / 2
        last = math.acos(0.5 * math.cos(first))
        q = (first + t * (last - first)).cos() / math.cos(first)
        return 2 * q - 1, 1 - q, (1 - q**2).clamp(min=0.0).sqrt()


class DDPM(Process):
    """A discrete schedule of T steps, for networks that were trained with it.

    beta_k^(1/power) rises linearly from beta_min^(1/power) to beta_max^(1/power): power 1 is
    "linear" (Ho et al.), power 2 with .00085, .012 is "scaled_linear" (latent diffusion). With
    abar_k the product of 1 - beta, a = sqrt(abar) and s = sqrt(1 - abar).

    Index k = 0 already is one step of noise: it stands at t = (k + 1)/T, and t = 0 is clean.
    Between two indices ln(s/a) is linear in t. ``index`` is what such a network is told.
    """

    def __init__(
        self,
        beta_min: float = 1e-4,
        beta_max: float = 0.02,
        power: float = 1.0,
        steps: float = 1000,
    ) -> None:
        self.beta_min, self.beta_max = beta_min, beta_max
        self.power, self.steps = power, int(steps)

    def betas(self) -> Tensor:
        """beta_k (T,), float64."""
        low, high = (v ** (1 / self.power) for v in (self.beta_min, self.beta_max))
        return torch.linspace(low, high, self.steps, dtype=torch.float64) ** self.power

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return 1 / self.steps

    def index(self, t: Scalar) -> Scalar:
        """k of a time, not rounded; below 0 towards t = 0."""
        return t * self.steps - 1

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_abar = torch.log1p(-self.betas()).cumsum(0)
        levels = 0.5 * (torch.log(-torch.expm1(log_abar)) - log_abar)  # ln sigma_k
        k = t * self.steps - 1
        low = k.detach().floor().clamp(0, self.steps - 2).long()
        start, end = levels[low], levels[low + 1]
        log_sigma = start + (k - low) * (end - start)
        # Below the first index sigma itself is linear, down to 0.
        first = levels[0].exp()
        sigma = torch.where(k < 0, (k + 1) * first, log_sigma.exp())
        a = (1 + sigma**2) ** -0.5
        return a, torch.zeros_like(t), sigma * a


class DDPMCosine(DDPM):
    """abar_k = f(k + 1)/f(0), f(k) = cos^2((k/T + .008)/1.008 pi/2), beta <= .999.

    The discrete schedule of Nichol and Dhariwal, eq. 17; see ``DDPM``.
    """

    def __init__(self, steps: float = 1000) -> None:
        self.steps = int(steps)

    def betas(self) -> Tensor:
        """beta_k (T,), float64."""
        u = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        f = ((u + 0.008) / 1.008 * math.pi / 2).cos() ** 2
        return (1 - f[1:] / f[:-1]).clamp(max=0.999)


PROCESSES: dict[str, type[Process]] = {
    cls.__name__: cls
    for cls in (
        VPLinear,
        VPCosine,
        SubVP,
        VE,
        EDM,
        RectifiedFlow,
        DDPM,
        DDPMCosine,
        OUVE,
        IRSDE,
        ResShift,
        RDDM,
        SBVE,
        BrownianBridge,
        Resfusion,
        FlowSE,
    )
}


def process_from_config(config: dict[str, float | str]) -> Process:
    """The process that ``Process.config()`` describes.

    Raises:
        ValueError: unknown name, a parameter that the process does not have, or no number.
    """
    values = dict(config)
    name = values.pop("name", None)
    if name not in PROCESSES:
        raise ValueError(f"unknown process {name!r}; known: {', '.join(PROCESSES)}")
    cls = PROCESSES[str(name)]
    known = inspect.signature(cls).parameters
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; {name} takes: {', '.join(known)}")
    # YAML reads 1e-4 as a string, JSON may hold integers: every parameter is a float.
    return cls(**{k: float(v) for k, v in values.items()})

"""Denoisers: E[x0 | x_t, y, cond], from a network or exact.

A denoiser owns everything between data units and a network: the process it was trained for, the
parametrization of the network's output, the scaling of the data's range, and the passage from
complex values to two real channels. Samplers and guidance only ever see the mean of x0.

Parametrizations, with u = x_t - b y = a x0 + s z:

=========  =====================================  ==========================================
name       what the network F predicts             mean of x0
=========  =====================================  ==========================================
x0         x0                                      F
eps        z                                       (u - s F) / a
v          (a z - s x0) / n,  n^2 = a^2 + s^2      (a u - s n F) / n^2
velocity   dx_t/dt = a' x0 + b' y + s' z           (s' u - s (F - b' y)) / (a s' - a' s)
score      -z / s                                  (u + s^2 F) / a
residual   y - x0                                  y - F
edm        (x0 - c_skip w) / c_out, w = u / a      c_skip w + c_out F
logit      ln P(x0 = 1) / P(x0 = -1)               tanh(F / 2)
mask       m, n, r with x0 = (1 + m) y + n c + r    (1 + m) y + n c + r
=========  =====================================  ==========================================

EDM's preconditioning (Karras et al. 2022, table 1) with sigma = s/a and data std sigma_d:
c_skip = sigma_d^2 / (sigma^2 + sigma_d^2), c_out = sigma sigma_d / sqrt(sigma^2 + sigma_d^2),
c_in = 1 / sqrt(sigma^2 + sigma_d^2). ``logit`` is for masks, x0 in {-1, 1}, whose mean is
2 P - 1. ``v`` is Salimans and Ho 2022, eq. D.2, for any (a, s). ``mask`` is for complex data whose
endpoint y is an estimate of them, made of the conditioning c: m and n are complex masks, and r is
what no mask can make, as in a ``Predictor``; a network that answers 0 gives y.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sciddm.acceleration import NO_PLAN, Plan, evaluating
from sciddm.ledger import record
from sciddm.losses.mask_loss import MaskLoss
from sciddm.precision import Precision, network_arithmetic
from sciddm.process import Process, Scalar, expand

__all__ = ["PARAMETRIZATIONS", "Denoiser", "NetworkDenoiser", "complex_to_real", "real_to_complex"]

Parametrization = Literal["x0", "eps", "v", "velocity", "score", "residual", "edm", "logit", "mask"]
PARAMETRIZATIONS: tuple[str, ...] = get_args(Parametrization)


def complex_to_real(x: Tensor) -> Tensor:
    """(B, C, ...) complex -> (B, 2C, ...) real: real parts first, then imaginary parts.

    A circular complex variable of variance 1 becomes two real channels of variance 1/2 each.
    """
    return torch.cat([x.real, x.imag], dim=1)


def real_to_complex(x: Tensor) -> Tensor:
    """(B, 2C, ...) real -> (B, C, ...) complex; inverse of ``complex_to_real``."""
    re, im = x.float().chunk(2, dim=1) if x.dtype != torch.float64 else x.chunk(2, dim=1)
    return torch.complex(re.contiguous(), im.contiguous())


class Denoiser(nn.Module):
    """E[x0 | x_t, y, cond] under ``process``.

    ``data_std`` is the standard deviation of x0 about its mean, used by guidance that needs the
    prior's spread (PiGDM's r^2); for complex data E|x0 - mean|^2 = data_std^2.
    """

    process: Process
    data_std: float = 1.0

    @abstractmethod
    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        """The mean of x0.

        Args:
            x_t: state (B, C, ...), real or complex, in data units.
            t: one time for all items (float), or one per item (B,).
            y: second endpoint, the shape of x_t, for processes that have one.
            cond: conditioning of the network.

        Returns:
            E[x0 | ...], the shape and type of x_t.
        """

    def spread(self, t: float) -> float:
        """r^2 = sigma^2 d^2 / (sigma^2 + d^2): the variance of x0 given x_t for white data of
        variance d^2 = data_std^2. Song et al. 2023 (PiGDM), appendix A.3, with d = 1."""
        sigma, d2 = float(self.process.sigma(t)), self.data_std**2
        return d2 if math.isinf(sigma) else sigma**2 * d2 / (sigma**2 + d2)

    def mean_and_vjp(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> tuple[Tensor, VJP]:
        """E[x0 | x_t] and the function v -> J^H v, J = dE[x0 | x_t]/dx_t.

        For complex data J acts on (re, im) pairs; it is symmetric for an exact denoiser, since
        Cov[x0 | x_t] = (s^2 / a) J. The VJP can be called any number of times.
        """
        with torch.enable_grad():
            x_in = x_t.detach().requires_grad_(True)
            mean = self(x_in, t, y, cond)
        return mean.detach(), VJP(mean, x_in)


class VJP:
    """v -> J^H v for the graph that leads from ``x_in`` to ``mean``; counted in the ledger."""

    def __init__(self, mean: Tensor, x_in: Tensor) -> None:
        self._mean, self._x_in = mean, x_in

    def __call__(self, v: Tensor) -> Tensor:
        record(nvjp=v.shape[0])
        # As the gradient of Re <v, mean>: given a v, `grad` would import sympy, for a second.
        with torch.enable_grad():
            inner = (self._mean * v.conj()).real.sum()
        (g,) = torch.autograd.grad(inner, self._x_in, retain_graph=True)
        return g


class NetworkDenoiser(Denoiser):
    """A network with its preconditioning; see the module's docstring for the equations.

    Args:
        network: ``(x (B, C', ...), noise level (B,), cond) -> (B, C'', ...)``, real valued. Its
            noise level is ln(s/a), or t if its ``noise_level`` is "time". If the process has an
            endpoint, y is stacked behind x. A complex ``cond`` is data in data units, and reaches
            the network as x does; a real one reaches it as it is.
        process: the process in data units.
        parametrization: what the network predicts.
        data_std: standard deviation of x0 (complex: E|x0|^2 = data_std^2), in data units.
        scale, center: the network sees (x0 - center) / scale, so that data keep their units
            outside. ``center`` must be 0 for complex data.
        complex_data: x is complex; the network sees real and imaginary parts as channels.
        precision: dtype of the network's arithmetic; state and result stay in float32. "auto"
            takes bfloat16 where the processor computes it natively.
        criterion: what training minimises in place of the squared error, for "logit" only.
        estimate_errors: for a network whose ``cond`` is an estimate of x0: what the standard
            deviation of its error is taken for at the first evaluations of a chain, the last for
            all later ones (``guidance.Informed``). Empty for any other ``cond``.
    """

    def __init__(
        self,
        network: nn.Module,
        process: Process,
        parametrization: Parametrization = "edm",
        *,
        data_std: float = 1.0,
        scale: float = 1.0,
        center: float = 0.0,
        complex_data: bool = False,
        precision: Precision = "float32",
        criterion: MaskLoss | None = None,
        estimate_errors: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if parametrization not in PARAMETRIZATIONS:
            raise ValueError(
                f"unknown parametrization {parametrization!r}; known: {', '.join(PARAMETRIZATIONS)}"
            )
        if complex_data and center:
            raise ValueError("center must be 0 for complex data")
        if parametrization in ("residual", "mask") and not process.has_endpoint:
            raise ValueError(f"the {parametrization} parametrization needs an endpoint")
        if parametrization == "mask" and not complex_data:
            raise ValueError("the mask parametrization is for complex data")
        if parametrization == "logit" and (complex_data or center or scale != 1):
            raise ValueError("the logit parametrization is for real masks in -1, 1 as they are")
        if criterion is not None and parametrization != "logit":
            raise ValueError("a criterion belongs to the logit parametrization")
        if any(e <= 0 for e in estimate_errors):
            raise ValueError(f"estimate_errors {list(estimate_errors)}: each is above 0")
        self.network = network
        self.estimate_errors = tuple(estimate_errors)
        self.criterion = MaskLoss() if parametrization == "logit" and not criterion else criterion
        self.process = process
        self.parametrization = parametrization
        self.data_std = data_std
        self.scale = scale
        self.center = center
        self.complex_data = complex_data
        self.precision: Precision = precision
        self.plan: Plan = NO_PLAN
        # A bridge ends at sigma = inf; there the network is told the level just before the end.
        ends_in_noise = math.isfinite(process.sigma(process.t_max))
        self._ceiling = math.inf if ends_in_noise else process.sigma(0.9999 * process.t_max)

    @property
    def sees_estimate(self) -> bool:
        """Whether ``cond`` is an estimate of x0."""
        return bool(self.estimate_errors)

    # Network coordinates: x_n = (x - (a + b) center) / k. For complex data k is smaller by
    # sqrt(2), because a real channel carries half the variance of the complex noise; in these
    # coordinates the noise is s_n z with z of variance 1 in every real channel, s_n = s / scale.

    @property
    def _unit(self) -> float:
        return self.scale / 2**0.5 if self.complex_data else self.scale

    def _to_network(self, x: Tensor, offset: Scalar) -> Tensor:
        if self.complex_data:
            x = complex_to_real(x)
        return (x - expand(offset, x)) / self._unit

    def _from_network(self, x: Tensor) -> Tensor:
        x = x * self._unit + self.center
        return real_to_complex(x) if self.complex_data else x

    def _levels(self, t: Scalar) -> tuple[Scalar, Scalar, Scalar]:
        a, b, s = self.process(t)
        return a, b, s / self.scale

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        a, b, s = self._levels(t)
        x = self._to_network(x_t, (a + b) * self.center)
        y = None if y is None else self._to_network(y, self.center)
        out = self._evaluate(x, t, (a, b, s), y, cond)
        return self._from_network(self._mean(out, x, t, (a, b, s), y, cond))

    def loss(
        self,
        x0: Tensor,
        t: Tensor,
        y: Tensor | None = None,
        cond: Tensor | None = None,
        z: Tensor | None = None,
    ) -> Tensor:
        """Mean squared error of the network's own output, per item: (B,).

        For "edm" this is EDM's weighting, (sigma^2 + sigma_d^2) / (sigma sigma_d)^2 |x0hat - x0|^2;
        for "logit" it is the criterion of the logits instead, for "mask" the error of x0.

        Args:
            x0: clean data (B, C, ...), data units.
            t: one time per item (B,).
            z: noise in the type of x0; drawn from the global generator if not given.
        """
        z = torch.randn_like(x0) if z is None else z
        x_t = self.process.add_noise(x0, t, y, z)
        a, b, s = self._levels(t)
        x = self._to_network(x_t, (a + b) * self.center)
        y_n = None if y is None else self._to_network(y, self.center)
        x0_n = self._to_network(x0, self.center)
        z_n = complex_to_real(z) * 2**0.5 if self.complex_data else z
        out = self._evaluate(x, t, (a, b, s), y_n, cond)
        if self.criterion is not None:
            return self.criterion(out, x0)
        if self.parametrization == "mask":  # no mask is the one to learn, only what they make
            out = self._mean(out, x, t, (a, b, s), y_n, cond)
        target = self._target(x0_n, z_n, x, t, (a, b, s), y_n)
        return (out - target).square().flatten(1).mean(1)

    def _evaluate(
        self,
        x: Tensor,
        t: Scalar,
        levels: tuple[Scalar, Scalar, Scalar],
        y: Tensor | None,
        cond: Tensor | None,
    ) -> Tensor:
        record(nfe=x.shape[0])
        a, b, s = levels
        inputs = x
        if self.parametrization == "edm":
            _, _, c_in = self._edm(a, s)
            inputs = expand(c_in / a, x) * (x - self.process.shift(b, y))
        if y is not None:
            inputs = torch.cat([inputs, y], dim=1)
        if cond is not None and cond.is_complex():
            cond = self._to_network(cond, 0.0)
        level = self._level(t, x)
        with network_arithmetic(self.precision, x.device), evaluating(self.plan):
            out = self.network(inputs, level, cond)
        answer: Tensor = out.to(x.dtype)
        return answer

    def _level(self, t: Scalar, x: Tensor) -> Tensor:
        """What the network is told of the noise, (B,): ln(s/a), or t if it asks for "time"."""
        if getattr(self.network, "noise_level", "log_sigma") == "time":
            level = torch.as_tensor(t, dtype=torch.float32, device=x.device)
        else:
            sigma = torch.as_tensor(self.process.sigma(t), dtype=torch.float32, device=x.device)
            level = (sigma.clamp(max=self._ceiling) / self.scale).log()
        # A float t is one level for the whole batch; a diagonal s is told by its mean.
        return level.flatten().mean().expand(x.shape[0]) if level.ndim != 1 else level

    def _edm(self, a: Scalar, s: Scalar) -> tuple[Scalar, Scalar, Scalar]:
        sigma, d = s / a, self.data_std / self.scale
        total = sigma**2 + d**2
        return d**2 / total, sigma * d / total**0.5, 1 / total**0.5

    def _mean(
        self,
        out: Tensor,
        x: Tensor,
        t: Scalar,
        levels: tuple[Scalar, Scalar, Scalar],
        y: Tensor | None,
        cond: Tensor | None,
    ) -> Tensor:
        a, _, s = (expand(c, x) for c in levels)
        u = x - self.process.shift(levels[1], y)
        match self.parametrization:
            case "x0":
                return out
            case "logit":
                return (out / 2).tanh()
            case "eps":
                return (u - s * out) / a
            case "v":
                n2 = a**2 + s**2
                return (a * u - s * n2**0.5 * out) / n2
            case "score":
                return (u + s**2 * out) / a
            case "residual":
                assert y is not None
                return y - out
            case "mask":
                if y is None or cond is None or not cond.is_complex():
                    raise ValueError("the mask parametrization needs y, and a complex cond")
                m, n, rest = out.chunk(3, dim=1)
                return y + _product(m, y) + _product(n, self._to_network(cond, 0.0)) + rest
            case "velocity":
                da, db, ds = self._rates(t, x)
                drift = out if y is None else out - db * y
                return (ds * u - s * drift) / (a * ds - da * s)
            case _:
                skip, scale, _ = (expand(c, x) for c in self._edm(levels[0], levels[2]))
                return skip * u / a + scale * out

    def _target(
        self,
        x0: Tensor,
        z: Tensor,
        x: Tensor,
        t: Scalar,
        levels: tuple[Scalar, Scalar, Scalar],
        y: Tensor | None,
    ) -> Tensor:
        a, _, s = (expand(c, x) for c in levels)
        match self.parametrization:
            case "x0" | "mask":
                return x0
            case "eps":
                return z
            case "v":
                return (a * z - s * x0) / (a**2 + s**2) ** 0.5
            case "score":
                return -z / s
            case "residual":
                assert y is not None
                return y - x0
            case "velocity":
                da, db, ds = self._rates(t, x)
                target = da * x0 + ds * z
                return target if y is None else target + db * y
            case _:
                u = x - self.process.shift(levels[1], y)
                skip, scale, _ = (expand(c, x) for c in self._edm(levels[0], levels[2]))
                return (x0 - skip * u / a) / scale

    def _rates(self, t: Scalar, like: Tensor) -> tuple[Scalar, Scalar, Scalar]:
        da, db, ds = self.process.rates(t)
        ds = ds / self.scale
        if da.ndim == 0:
            return float(da), float(db), float(ds)
        return expand(da, like), expand(db, like), expand(ds, like)


def _product(x: Tensor, y: Tensor) -> Tensor:
    """The complex product of what ``complex_to_real`` made two real channels each of."""
    (a, b), (c, d) = x.chunk(2, dim=1), y.chunk(2, dim=1)
    return torch.cat([a * c - b * d, a * d + b * c], dim=1)

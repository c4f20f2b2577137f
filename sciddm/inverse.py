"""Posterior samples for an operator of one's own, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import InputError, ModelError, OptionError
from sciddm.guidance.base import AnyMeasurement, Guidance
from sciddm.ledger import tally
from sciddm.methods import POSTERIOR_SAMPLERS, Run
from sciddm.physics.measurement import Measurement, NonlinearMeasurement
from sciddm.physics.operator import Linear, Operator
from sciddm.posterior import Posterior
from sciddm.process import Scalar
from sciddm.random.streams import Streams
from sciddm.sampling.grids import karras
from sciddm.uncertainty.shift_score import ShiftScore
from sciddm.uncertainty.verdict import Finding
from sciddm.zoo.pretrained import Model

__all__ = ["sample_posterior"]

#: Samples (K, B, C, y, x) are images, which a law of features is of.
_IMAGE_NDIM = 5


def sample_posterior(
    y: Tensor,
    A: Operator,
    prior: Denoiser | Model,
    sigma: float,
    *,
    method: str = "mmps",
    samples: int = 8,
    steps: int = 20,
    seed: int = 0,
    like: Tensor | None = None,
    sigma_max: float | None = None,
    sigma_min: float | None = None,
    measured: int | None = None,
    iterations: int = 10,
    callback: Callable[[int, int, Tensor, Tensor], None] | None = None,
) -> Posterior:
    """Draws from p(x | y) for data y = A x + n, n ~ N(0, sigma^2), and a prior of x.

    Args:
        y: data of one item, in the range of A, or of a batch (B, ...). For complex data
            E|n|^2 = sigma^2.
        A: the operator, without batch axes of its own. ``physics.FunctionOperator`` makes one of a
            function.
        prior: a denoiser whose process has no second endpoint, or a model such as
            ``sciddm.load("mri-brain")``. x is in its units and of its kind, real or complex.
        sigma: standard deviation of the noise, in the units of y.
        method: a name of ``sciddm.methods.POSTERIOR_SAMPLERS``; docs/methods.md compares them.
        samples: K of each item.
        steps: noise levels after the first.
        seed: of all noise; an item's noise depends on its place alone.
        like: any element of the domain (B, ...), for an operator that is not linear.
        sigma_max: the first noise level s/a; 40 times the data's standard deviation at most, if not
            given.
        sigma_min: the last one; .01 times the data's standard deviation at least, if not given.
        measured: how many entries of one item's y are measured, for the evidence; those that are
            not 0 if not given.
        iterations: conjugate gradient steps for an operator without a closed form.
        callback: called after every step with (step, steps, x_t, x0).

    Returns:
        ``Posterior`` with ``samples`` (K, B, ...), ``mean``, ``std`` and ``verdict``; with
        ``familiar`` of a model whose card has a law of its training images; and, for methods that
        estimate it, ``log_evidence``; None where that fails, as with one particle left.

    Raises:
        OptionError: an unknown method, or a number that cannot be used.
        InputError: y is not finite or not in the range of A, A and the prior are of images of
            different shapes, or the method does not take the operator.
        ModelError: the prior needs a second endpoint or an estimate, or is of the other kind.
    """
    if method not in POSTERIOR_SAMPLERS:
        known = ", ".join(POSTERIOR_SAMPLERS)
        raise OptionError("method", f"unknown method {method!r}; take one of: {known}")
    for name, value in (("samples", samples), ("steps", steps)):
        if value < 1:
            raise OptionError(name, f"at least 1, not {value}")
    shift = ShiftScore.from_card(prior.card.shift) if isinstance(prior, Model) else None
    prior = prior.denoiser if isinstance(prior, Model) else prior
    if prior.process.has_endpoint:
        raise ModelError("this model is a bridge from one image to another, not a prior")
    if not sigma > 0:
        raise OptionError("sigma", f"the standard deviation of the noise is above 0, not {sigma}")
    if not isinstance(y, Tensor):
        raise InputError(
            f"y is a {type(y).__name__}, not a torch tensor: torch.as_tensor makes one"
        )
    if not isinstance(A, Operator):
        raise OptionError(
            "A",
            "a plain function says nothing of its domain: give FunctionOperator(function, shape) "
            "of a linear one, or a subclass of Operator with domain_ndim and range_ndim",
        )
    if not bool(torch.isfinite(y).all()):
        raise InputError("y holds values that are not finite: remove them, or measure less")
    measurement: AnyMeasurement
    if isinstance(A, Linear):
        try:
            like = A.adjoint(y)
        except (RuntimeError, IndexError) as error:
            raise InputError(
                f"y of shape {tuple(y.shape)} is not in the range of A: give data of the shape of "
                "A(x), of one item or of a batch"
            ) from error
        batched = like.ndim > A.domain_ndim
    elif like is None:
        raise OptionError("like", "an operator that is not linear needs an element of its domain")
    elif like.ndim not in (A.domain_ndim, A.domain_ndim + 1):
        raise OptionError(
            "like",
            f"has {like.ndim} axes, and images of A have domain_ndim = {A.domain_ndim} (one more "
            "of a batch): set domain_ndim and range_ndim of the operator to its own",
        )
    else:
        batched = like.ndim > A.domain_ndim
    start = like if batched else like[None]
    items = start.shape[0]
    if batched:
        y = y.repeat(samples, *[1] * (y.ndim - 1))
    if isinstance(A, Linear):
        measurement = Measurement(y, A, sigma, iterations=iterations)
    else:
        measurement = NonlinearMeasurement(y, A, sigma, iterations=iterations)
    network = prior if isinstance(prior, NetworkDenoiser) else None
    if network is not None:
        prior = _fitting(network, start)
    grid = _grid(prior, steps, sigma_max, sigma_min)
    if network is None:
        _check_domain(prior, start, grid[0])
    identities = [(b << 20) + k for k in range(samples) for b in range(items)]
    streams = Streams(seed, identities)
    like = start.repeat(samples, *[1] * (start.ndim - 1))
    a, _, s = prior.process(grid[0])
    x = (s**2 + (a * prior.data_std) ** 2) ** 0.5 * streams.randn(like, step=2**31)
    run = Run(prior, measurement, x, grid, samples, streams, measured, callback)
    with tally() as cost:
        try:
            draws = POSTERIOR_SAMPLERS[method].draw(run)
        except ValueError as error:
            raise InputError(f"method {method}: {error}") from error
    if not bool(torch.isfinite(draws.x0).all()):
        raise InputError(f"method {method}: the draws diverged; take more steps, or another method")
    shaped = draws.x0.reshape(samples, items, *draws.x0.shape[1:])
    data = Measurement(y[:items] if batched else y, A, sigma) if isinstance(A, Linear) else None
    posterior = Posterior(shaped, cost, draws.log_evidence, data)
    if shift is None or network is None or shaped.ndim != _IMAGE_NDIM:
        return posterior
    return replace(posterior, familiar=_familiar(shift, network, posterior.mean))


def _familiar(shift: ShiftScore, prior: NetworkDenoiser, images: Tensor) -> Finding:
    """Whether images (B, C, y, x) are like those that the prior was trained on."""
    single = torch.complex64 if prior.complex_data else torch.float32
    return shift.finding([shift(prior, image[None].to(single)) for image in images])


def _fitting(prior: NetworkDenoiser, like: Tensor) -> Denoiser:
    """The prior for data of this kind, in their precision.

    Raises:
        ModelError: it is for other data.
    """
    if prior.sees_estimate:
        raise ModelError("this model is shown an estimate from the data: take a prior")
    if prior.complex_data != like.is_complex():
        kinds = ("real", "complex")
        raise ModelError(
            f"this prior is for {kinds[prior.complex_data]} data, and the operator's domain is "
            f"{kinds[like.is_complex()]}: give y and the operator in {kinds[prior.complex_data]} "
            "numbers"
        )
    single = torch.complex64 if prior.complex_data else torch.float32
    return prior if like.dtype == single else _InPrecision(prior, single)


class _InPrecision(Guidance):
    """A network of single precision for states of another."""

    def __init__(self, denoiser: Denoiser, dtype: torch.dtype) -> None:
        super().__init__(denoiser)
        self.dtype = dtype

    def forward(
        self, x_t: Tensor, t: Scalar, y: Tensor | None = None, cond: Tensor | None = None
    ) -> Tensor:
        out: Tensor = self.denoiser(x_t.to(self.dtype), t, y, cond).to(x_t.dtype)
        return out


def _check_domain(prior: Denoiser, start: Tensor, t: float) -> None:
    """Raises InputError where a prior does not take the images of the operator."""
    shape = tuple(start.shape[1:])
    try:
        answer = tuple(prior(start, t).shape[1:])
    except (RuntimeError, IndexError):
        answer = None
    if answer != shape:
        raise InputError(
            f"the images of A have the shape {shape}, which the prior does not take: give both the "
            "same shape, the batch axis left out"
        )


def _grid(
    prior: Denoiser, steps: int, sigma_max: float | None, sigma_min: float | None
) -> list[float]:
    process = prior.process
    highest, lowest = (float(process.sigma(t)) for t in (process.t_max, process.t_min))
    first = min(highest, 40 * prior.data_std) if sigma_max is None else sigma_max
    last = max(lowest, 0.01 * prior.data_std) if sigma_min is None else sigma_min
    if not 0 < last < first <= highest * (1 + 1e-6):
        raise OptionError(
            "sigma_max", f"noise levels satisfy 0 < {last:g} < {first:g} <= {highest:g}"
        )
    return karras(process, steps, first, last)

"""How much nearer to the truth a line of k-space would bring the image, in expectation.

A line of a multi-coil scan is no line of the image's own k-space X. The coils' sensitivities are
smooth, not flat, so line l holds X at l and, weaker, at its neighbours: in column x of the image

    y_l(x) = sum_d s_d(x) X_{l-d}(x) + n,    s_d(x) the sensitivities' Fourier series along ky

What is believed of X is uncertain with variance u_k in line k, as N particles differ there. Then
measuring line l lowers the expected squared error of the image, all that follows for other lines
included, by

    gain(l) = sum_x tr[ (sum_d u^2_{l-d} s_d s_d^H) (sum_d u_{l-d} s_d s_d^H + sigma^2 I)^-1 ]

This is the A-optimal choice of Bayesian design of experiments (Chaloner & Verdinelli, Statist Sci
10:273, 1995, section 2.2) for a Gaussian belief. Entropy and variance of y_l alone count once more
what the neighbours of a measured line have told already, and not at all what line l tells of its
own neighbours: with 8 coils they put lines closer to each other and to the centre. For one coil of
flat sensitivity the gain is u_l^2 / (u_l + sigma^2), the variance less what noise hides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sciddm.physics.fourier import fft2c

__all__ = ["line_gain"]

# Sensitivities are smooth: so many columns of the image stand for all.
_COLUMNS = 64


def line_gain(estimates: Tensor, maps: Tensor, sigma: float, free: Tensor) -> Tensor:
    """The gain of every line along ky: (ky,), in double precision, -inf where not ``free``.

    Args:
        estimates: images of the particles (N, 1, y, x), complex, N >= 2.
        maps: sensitivities of the channels (coil, y, x) whose noise is white.
        sigma: the noise's standard deviation in each, E|n|^2 = sigma^2.
        free: (ky,) bool, the lines that can be measured.

    Raises:
        ValueError: fewer than two particles, or a noise that is not above 0.
    """
    if len(estimates) < 2:
        raise ValueError("two particles or more are needed")
    if not sigma > 0:
        raise ValueError(f"the noise level is {sigma}: above 0 is needed")
    uncertain = fft2c(estimates)[:, 0].var(0).real.mean(-1).double()
    columns = slice(None, None, max(1, maps.shape[-1] // _COLUMNS))
    series = torch.fft.fft(maps[..., columns].to(torch.complex128), dim=-2, norm="forward")
    pairs = torch.fft.fft(series[:, None] * series.conj(), dim=-2)  # (coil, coil, d, x)
    told, whole = (
        torch.fft.ifft(pairs * torch.fft.fft(u.to(pairs.dtype))[:, None], dim=-2)[..., free, :]
        for u in (uncertain**2, uncertain)
    )
    told, whole = told.permute(2, 3, 0, 1), whole.permute(2, 3, 0, 1)
    noise = sigma**2 * torch.eye(len(maps), dtype=whole.dtype, device=whole.device)
    gains = torch.linalg.solve(whole + noise, told).diagonal(dim1=-2, dim2=-1).real.sum((-2, -1))
    return torch.full_like(uncertain, -torch.inf).masked_scatter(free, gains)

"""What a scan with fewer quanta would have measured.

A reading with the line integral p counts N ~ Poisson(I0 exp(-p)) + N(0, e^2) quanta, I0 being the
incident flux (quanta per reading without an object) and e the electronic noise in quanta; the
scanner then takes p' = -log(max(N, 1) / I0). A fraction of the dose is that fraction of I0; the
electronic noise stays.

A sinogram without noise is counted (`low_dose_sinogram`). One that was measured holds the noise of
its own dose already, and is thinned (`thin_counts`). An image is projected, and the reconstruction
of the noise alone is added to it (`low_dose_image`), so that its resolution stays its own.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from sciddm.physics import Projector, filtered_back_projection
from sciddm.physics.fbp import Window
from sciddm.physics.tomography.units import MU_WATER, to_attenuation
from sciddm.random.streams import Streams

__all__ = [
    "count",
    "line_integrals",
    "low_dose_image",
    "low_dose_sinogram",
    "thin_counts",
    "unbiased_line_integrals",
]

_NEIGHBOURS = 25  # readings, 5 views by 5 cells
_ENOUGH = 200.0  # quanta, from which on a reading's logarithm is nearly normal
# Draws within one step of the streams.
_QUANTA, _ELECTRONIC, _THINNING = 0, 1, 2


def count(
    p: Tensor, flux: float | Tensor, electronic_sd: float, streams: Streams, step: int = 0
) -> Tensor:
    """N ~ Poisson(I0 exp(-p)) + N(0, e^2).

    Args:
        p: line integrals (B, ...), without noise.
        flux: I0 > 0, quanta per reading; a number, or a tensor that broadcasts against p, as the
            profile of a bowtie filter (D,).
        electronic_sd: e >= 0, quanta.
        streams: one per item.
        step: number of this simulation; another number gives other noise.

    Returns:
        (B, ...), quanta; below 0 where the electronic noise has it so.
    """
    _check(flux, electronic_sd)
    counts = streams.poisson((-p).exp() * flux, step, _QUANTA)
    return counts + electronic_sd * streams.randn(p, step, _ELECTRONIC)


def line_integrals(counts: Tensor, flux: float | Tensor) -> Tensor:
    """p = -log(max(N, 1) / I0)."""
    return -(counts.clamp(min=1) / flux).log()


def unbiased_line_integrals(counts: Tensor, flux: float | Tensor, electronic_sd: float) -> Tensor:
    """Line integrals without the bias of the logarithm, as scanners prepare them.

    The mean of -log(N) is above -log of the mean m of N, to second order by var(N) / (2 m^2), which
    darkens or brightens the middle of a large body at low dose by some HU. Here the mean of the
    neighbouring readings stands for m. Readings of few quanta, whose logarithm no expansion
    follows, are first mixed with that mean, N' = a N + (1 - a) m with a = m / `_ENOUGH` (in the
    manner of adaptive filtration; Hsieh, 1998), which costs resolution along the strongest
    attenuation only. Then p = -log(N' / I0) - var(N') / (2 m^2).

    Args:
        counts: N (..., V, D).
        flux: I0.
        electronic_sd: e, quanta.
    """
    rows, columns = counts.shape[-2:]
    flat = pad(counts.reshape(-1, 1, rows, columns), (2, 2, 2, 2), mode="replicate")
    m = avg_pool2d(flat, 5, stride=1).reshape(counts.shape).clamp(min=1)
    a = (m / _ENOUGH).clamp(max=1)
    mixed = (a * counts + (1 - a) * m).clamp(min=0.2 * m)
    # The reading itself has the share a + (1 - a)/25 in its mixture, each other one (1 - a)/25.
    own, others = a + (1 - a) / _NEIGHBOURS, (1 - a) / _NEIGHBOURS
    variance = (m + electronic_sd**2) * (own**2 + (_NEIGHBOURS - 1) * others**2)
    return -(mixed / flux).log() - variance / (2 * m**2)


def low_dose_sinogram(
    p: Tensor,
    flux: float | Tensor,
    electronic_sd: float,
    streams: Streams,
    step: int = 0,
    *,
    unbiased: bool = False,
) -> Tensor:
    """The sinogram that a scan of the flux I0 measures of the line integrals p; see ``count``.

    With `unbiased`, prepared as ``unbiased_line_integrals`` does.
    """
    counts = count(p, flux, electronic_sd, streams, step)
    if unbiased:
        return unbiased_line_integrals(counts, flux, electronic_sd)
    return line_integrals(counts, flux)


def thin_counts(
    counts: Tensor, fraction: float, electronic_sd: float, streams: Streams, step: int = 0
) -> Tensor:
    """Counts with the mean and variance of a scan at a fraction a of the dose, from measured ones.

    a N + sqrt(a (1-a) max(N, 0)) z1 + sqrt(1 - a^2) e z2 (Yu et al., 2012; Zabic et al., 2013). If
    N has the mean m and the variance m + e^2, the result has a m and a m + e^2, except for the bias
    of max(N, 0) where hardly any quanta arrive.

    Args:
        counts: N (B, ...), measured, with electronic noise of the same standard deviation e.
        fraction: 0 < a <= 1.
        electronic_sd: e >= 0, quanta.
        streams: one per item.
        step: as in ``count``.
    """
    _check(1.0, electronic_sd)
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction of the dose is above 0 and at most 1, not {fraction}")
    quanta = (fraction * (1 - fraction) * counts.clamp(min=0)).sqrt()
    electronic = (1 - fraction**2) ** 0.5 * electronic_sd
    out: Tensor = (
        fraction * counts
        + quanta * streams.randn(counts, step, _THINNING)
        + electronic * streams.randn(counts, step, _ELECTRONIC)
    )
    return out


def low_dose_image(
    hu: Tensor,
    projector: Projector,
    flux: float | Tensor,
    electronic_sd: float,
    streams: Streams,
    *,
    step: int = 0,
    window: Window = "ram-lak",
    mu_water: float = MU_WATER,
) -> Tensor:
    """HU + 1000/mu_water FBP(p' - p): an image with the noise of a scan of the flux I0.

    The line integrals are unbiased ones. The noise of the image itself, that of its own dose,
    stays in it: give an image of a dose that
    is high against the simulated one. Below -1000 HU is taken as air.

    Args:
        hu: (B, 1, ny, nx), HU.
        projector: the scan, of that shape; FBP needs its views without a gap.
        flux: as in ``count``.
        electronic_sd: as in ``count``.
        streams: one per item.
        step: as in ``count``.
        window: of the reconstruction, which gives the noise its texture.
        mu_water: attenuation of water, 1/mm.

    Returns:
        (B, 1, ny, nx), HU.
    """
    p = projector(to_attenuation(hu, mu_water).clamp(min=0))
    noise = low_dose_sinogram(p, flux, electronic_sd, streams, step, unbiased=True) - p
    beam, shape, pixel_mm = projector.beam, projector.shape, projector.pixel_mm
    return hu + filtered_back_projection(noise, beam, shape, pixel_mm, window=window) * (
        1000 / mu_water
    )


def _check(flux: float | Tensor, electronic_sd: float) -> None:
    lowest = float(flux.min()) if isinstance(flux, Tensor) else flux
    if not lowest > 0:
        raise ValueError(f"the incident flux must be above 0 quanta, not {lowest}")
    if not electronic_sd >= 0:
        raise ValueError(f"electronic noise must be at least 0 quanta, not {electronic_sd}")

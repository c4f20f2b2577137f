"""Simulated multi-coil scans with a known truth.

    k_c = F (s_c x) + n_c,   F the centred orthonormal FFT, n_c circular complex Gaussian noise

x is a magnitude image times a smooth random phase, s_c the field of small receive loops around
the object. The signal-to-noise ratio is that of k-space:

    SNR = 10 log10( mean |F (s_c x)|^2 / E|n|^2 ) dB,

the mean over all slices, coils and all of the fully sampled k-space. As F is unitary and
sum_c |s_c|^2 = 1 that is also mean |x|^2 over (number of coils * E|n|^2).

Reference:
    Roemer et al., The NMR phased array, Magn Reson Med 16:192 (1990), receive field of loops
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from sciddm.errors import InputError

# Geometry of the receive array in units of half the field of view: near to a head that fills
# most of the field, as in a head coil.
_ARRAY_RADIUS = 1.25
_LOOP_SEGMENTS = 24
_WIRE_RADIUS = 0.12


def fft2c(x: NDArray[Any]) -> NDArray[Any]:
    """Centred orthonormal 2D FFT over the last two axes."""
    return _centred(np.fft.fft2, x)


def ifft2c(k: NDArray[Any]) -> NDArray[Any]:
    """Inverse of `fft2c`."""
    return _centred(np.fft.ifft2, k)


def _centred(transform: Any, x: NDArray[Any]) -> NDArray[Any]:
    axes = (-2, -1)
    y = transform(np.fft.ifftshift(x, axes=axes), axes=axes, norm="ortho")
    return np.asarray(np.fft.fftshift(y, axes=axes))


def coil_maps(n_coils: int, shape: tuple[int, int], seed: int) -> NDArray[np.complex64]:
    """Receive sensitivities of loops around the field of view.

    Each map is the transverse magnetic field B_x - i B_y of a circular loop that faces the centre,
    by the Biot-Savart law summed over straight pieces of wire of finite thickness. Angle, distance,
    size and height of the loops vary with the seed.

    Args:
        n_coils: number of loops.
        shape: (ny, nx).
        seed: determines the loops; the maps of one seed at several sizes sample the same fields.

    Returns:
        Maps, (coil, y, x), with sum_c |s_c|^2 = 1 everywhere.
    """
    if n_coils < 1:
        raise InputError(f"{n_coils} coils are impossible: use 1 or more")
    rng = np.random.default_rng([seed, 0xC011])
    ny, nx = shape
    y = (np.arange(ny) - ny // 2)[:, None] / (ny / 2)
    x = (np.arange(nx) - nx // 2)[None, :] / (nx / 2)

    first = rng.uniform(0, 2 * np.pi)
    maps = np.zeros((n_coils, ny, nx), dtype=np.complex128)
    for c in range(n_coils):
        angle = first + 2 * np.pi * (c + 0.2 * rng.uniform(-1, 1)) / n_coils
        distance = _ARRAY_RADIUS * (1 + 0.06 * rng.uniform(-1, 1))
        # Neighbours overlap a little, as they do to decouple from each other.
        size = (
            1.15 * math.sin(math.pi / max(n_coils, 5)) * distance * (1 + 0.1 * rng.uniform(-1, 1))
        )
        outward = np.array([math.cos(angle), math.sin(angle), 0.0])
        tangent = np.array([-math.sin(angle), math.cos(angle), 0.0])
        height = np.array([0.0, 0.0, 1.0])
        centre = distance * outward + 0.15 * rng.uniform(-1, 1) * height
        turn = 2 * np.pi * np.arange(_LOOP_SEGMENTS + 1) / _LOOP_SEGMENTS
        wire = centre + size * (np.outer(np.cos(turn), tangent) + np.outer(np.sin(turn), height))
        for start, end in pairwise(wire):
            dl, middle = end - start, 0.5 * (start + end)
            rx, ry, rz = x - middle[0], y - middle[1], -middle[2]
            cubed = (rx**2 + ry**2 + rz**2 + _WIRE_RADIUS**2) ** 1.5
            field_x = (dl[1] * rz - dl[2] * ry) / cubed
            field_y = (dl[2] * rx - dl[0] * rz) / cubed
            maps[c] += field_x - 1j * field_y
        maps[c] *= np.exp(2j * np.pi * rng.uniform()) * (1 + 0.15 * rng.uniform(-1, 1))
    maps /= np.sqrt((np.abs(maps) ** 2).sum(0, keepdims=True))
    return maps.astype(np.complex64)


def smooth_phase(
    shape: tuple[int, int], seed: int, strength: float = 1.0, order: int = 3
) -> NDArray[np.float32]:
    """Random smooth phase of an object, as field inhomogeneity leaves it.

        phi(u, v) = phi0 + sum_{p, q <= order} c_pq cos(pi p u) cos(pi q v) / (1 + p^2 + q^2)

    with u, v in [0, 1] over the field of view, c_pq normal, phi0 uniform over the circle.

    Args:
        shape: (ny, nx).
        seed: determines the phase.
        strength: standard deviation of the varying part over the field of view, radian.
        order: highest spatial frequency, half-waves per field of view.

    Returns:
        Phase in radian, (y, x).
    """
    rng = np.random.default_rng([seed, 0xFA5E])
    ny, nx = shape
    p = np.arange(order + 1)
    along_y = np.cos(np.pi * np.outer((np.arange(ny) + 0.5) / ny, p))
    along_x = np.cos(np.pi * np.outer((np.arange(nx) + 0.5) / nx, p))
    weight = rng.standard_normal((order + 1, order + 1)) / (1 + p[:, None] ** 2 + p[None, :] ** 2)
    weight[0, 0] = 0
    phase = along_y @ weight @ along_x.T
    phase *= strength / max(float(phase.std()), 1e-12)
    return (phase + rng.uniform(-np.pi, np.pi)).astype(np.float32)


def simulate_scan(
    magnitude: ArrayLike,
    n_coils: int,
    snr_db: float = 30.0,
    seed: int = 0,
    phase: bool = True,
    *,
    noise_correlation: ArrayLike | None = None,
    noise_samples: int = 0,
    with_maps: bool = False,
    voxel_size_mm: tuple[float, float, float] = (math.nan, math.nan, math.nan),
) -> xr.Dataset:
    """A fully sampled multi-coil scan of a magnitude image.

    Args:
        magnitude: (slice, y, x) or (y, x), non-negative.
        n_coils: number of receive coils.
        snr_db: signal-to-noise ratio in k-space as the module defines it; inf for no noise.
        seed: determines maps, phases and noise. The maps are `coil_maps(n_coils, shape, seed)`,
            the same for all slices; every slice has a phase of its own.
        phase: give the object a smooth phase; otherwise it is real.
        noise_correlation: (coil, coil) Hermitian positive definite; scaled so that the mean of its
            diagonal is the noise power the SNR asks for. None: independent, equal noise.
        noise_samples: length of a noise-only scan to include; 0 for none.
        with_maps: include the true maps, which a reconstruction would then use.
        voxel_size_mm: (z, y, x).

    Returns:
        Dataset with kspace (slice, coil, ky, kx), reference (slice, y, x) the magnitude, truth
        (slice, y, x) the complex object, and optionally noise (coil, sample) and maps
        (slice, coil, y, x). attrs["noise_std"] is sqrt(E|n|^2), the mean over coils.

    Raises:
        InputError: the image is not 2D or 3D, not finite, negative or all zero.
    """
    image = np.asarray(magnitude, dtype=np.float64)
    if image.ndim == 2:
        image = image[None]
    if image.ndim != 3:
        raise InputError(f"the image has the axes (slice, y, x), this one has {image.ndim} axes")
    if not np.isfinite(image).all() or image.min() < 0 or image.max() == 0:
        raise InputError("the image must be finite, non-negative and not all zero")
    slices, ny, nx = image.shape
    maps = coil_maps(n_coils, (ny, nx), seed)
    truth = image.astype(np.complex128)
    if phase:
        phi = [smooth_phase((ny, nx), seed + 7919 * (s + 1)) for s in range(slices)]
        truth *= np.exp(1j * np.stack(phi))

    clean = fft2c(maps[None] * truth[:, None])
    sigma = float(np.sqrt((np.abs(clean) ** 2).mean())) * 10 ** (-snr_db / 20)
    colour = _colouring(noise_correlation, n_coils)
    rng = np.random.default_rng([seed, 0x5EED])
    kspace = clean + sigma * np.einsum("ij,sjyx->siyx", colour, _white(rng, clean.shape))

    variables: dict[str, Any] = {
        "kspace": (("slice", "coil", "ky", "kx"), kspace.astype(np.complex64)),
        "reference": (("slice", "y", "x"), image.astype(np.float32)),
        "truth": (("slice", "y", "x"), truth.astype(np.complex64)),
    }
    if noise_samples > 0:
        noise = sigma * colour @ _white(rng, (n_coils, noise_samples))
        variables["noise"] = (("coil", "sample"), noise.astype(np.complex64))
    if with_maps:
        variables["maps"] = (("slice", "coil", "y", "x"), np.repeat(maps[None], slices, axis=0))
    attrs: dict[str, Any] = {
        "voxel_size_mm": [float(v) for v in voxel_size_mm],
        "field_strength_T": math.nan,
        "source": "simulation",
        "format": "simulation",
        "image_shape": [ny, nx],
        "snr_db": float(snr_db),
        "noise_std": sigma,
        "seed": int(seed),
    }
    return xr.Dataset(variables, attrs=attrs)


def undersample(dataset: xr.Dataset, mask: ArrayLike) -> xr.Dataset:
    """Keep only the sampled entries of a scan.

    Args:
        dataset: scan with kspace (slice, coil, ky, kx). Entries it lacks already stay absent.
        mask: (ky, kx) or (slice, ky, kx) boolean.

    Returns:
        A new dataset: kspace exactly 0 where not sampled, mask (slice, ky, kx), and the total
        acceleration in attrs. Everything else is kept.

    Raises:
        InputError: the mask does not fit the scan, or leaves nothing.
    """
    kspace = dataset["kspace"].transpose("slice", "coil", "ky", "kx")
    slices, _, ny, nx = kspace.shape
    keep = np.asarray(mask, dtype=bool)
    if keep.shape not in ((ny, nx), (slices, ny, nx)):
        raise InputError(
            f"the mask has shape {keep.shape}, the scan needs {(ny, nx)} or {(slices, ny, nx)}"
        )
    keep = np.broadcast_to(keep, (slices, ny, nx))
    if "mask" in dataset:
        stated = dataset["mask"]
        keep = keep & stated.transpose(..., "ky", "kx").values.astype(bool)
    else:
        keep = keep & (kspace.values != 0).any(axis=1)
    if not keep.any():
        raise InputError("the mask leaves no sample of the scan")
    values = np.where(keep[:, None], kspace.values, np.zeros((), kspace.dtype))
    result = dataset.drop_vars(["kspace", "mask"], errors="ignore")
    result["kspace"] = (("slice", "coil", "ky", "kx"), values)
    result["mask"] = (("slice", "ky", "kx"), np.ascontiguousarray(keep))
    return result.assign_attrs(acceleration=float(keep.size / keep.sum()))


def _white(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex128]:
    """Circular complex normal noise, E|n|^2 = 1."""
    real, imaginary = rng.standard_normal((2, *shape)) / math.sqrt(2)
    return np.asarray(real + 1j * imaginary, dtype=np.complex128)


def _colouring(correlation: ArrayLike | None, n_coils: int) -> NDArray[np.complex128]:
    """L with L L^H proportional to the correlation and mean(diag(L L^H)) = 1, (coil, coil)."""
    if correlation is None:
        return np.eye(n_coils, dtype=np.complex128)
    psi = np.asarray(correlation, dtype=np.complex128)
    if psi.shape != (n_coils, n_coils):
        raise InputError(f"the noise correlation has shape {psi.shape}, not {(n_coils,) * 2}")
    try:
        lower = np.linalg.cholesky(psi / (np.trace(psi).real / n_coils))
    except np.linalg.LinAlgError as error:
        raise InputError("the noise correlation is not positive definite") from error
    return lower

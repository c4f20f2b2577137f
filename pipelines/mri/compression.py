"""Coil compression: fewer virtual channels that hold the signal of all.

The whitened data w = L^-1 k, Psi = L L^H, have noise of power 1 in every direction of the space of
the coils. With U_N the N strongest eigenvectors of E[w w^H], over the measured samples,

    k' = V k,    V = T U_N^H L^-1,    T = (U_N^H L^H L U_N)^(1/2)

U_N^H w are the N combinations that lose the least signal for their noise (Buehrer et al., Magn
Reson Med 57:1131, 2007; Huang et al., Magn Reson Imaging 26:133, 2008). T is invertible, so it
changes nothing in what the data tell; it keeps the sum of squares over the coils, sum |V s|^2 =
sum |s|^2 for every signal s in the span of L U_N, and with it the scale of images and maps. Noise
becomes V Psi V^H = T T^H, and is carried along as samples of exactly that covariance.

The part of the signal's energy that is kept is sum_(i<=N) (l_i - 1) / sum (l_i - 1), l the
eigenvalues, of which noise is 1.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from sciddm.errors import InputError
from sciddm.pipelines.mri.sampling import sampling_of

__all__ = ["AUTOMATIC_ABOVE", "KEPT", "compressed"]

#: Scans of more coils than this are compressed without being asked, if a quarter can be saved ...
AUTOMATIC_ABOVE = 12
#: ... to as few as keep this part of the signal's energy. Of simulated heads with 16 and 32 loops,
#: R = 4 and 6, the error of the least-squares image grew by less than 0.05 dB then, but by 0.1 to
#: 0.3 dB where 99.9 % were kept: weak channels matter for unfolding.
KEPT = 0.99995
#: Variables that hold a value for each coil.
_MIXED = ("kspace", "maps", "calibration")


def compressed(
    scan: xr.Dataset, coils: int | None = None, noise_std: float | None = None
) -> xr.Dataset:
    """The scan with fewer, virtual, coils.

    Args:
        scan: kspace (slice, coil, ...), and maps and noise where it has them.
        coils: how many; 0 for all as they are; None for as few as cost nothing measurable, where
            there are more than ``AUTOMATIC_ABOVE``.
        noise_std: sqrt(E|n|^2) of every channel, in place of the scan's own or of an estimate.

    Returns:
        The same with ``noise`` (coil, noise_sample) and the attributes ``coils_measured`` and
        ``coil_energy_kept``; the scan itself where nothing is to be done.

    Raises:
        InputError: nothing to estimate the noise from.
    """
    measured = scan.sizes["coil"]
    if coils == 0 or measured <= (AUTOMATIC_ABOVE if coils is None else coils):
        return scan
    source = sampling_of(scan)
    alive = source.alive.numpy()
    psi = source.covariance(noise_std).numpy().astype(np.complex128)
    try:
        lower = np.linalg.cholesky(psi)
    except np.linalg.LinAlgError as error:
        raise InputError("the noise covariance has no inverse: give a noise level") from error
    power = _power(source.kspace[:, source.alive], torch.from_numpy(np.linalg.inv(lower)))
    values, vectors = np.linalg.eigh(power)
    signal = np.maximum(values[::-1] - 1, 0)
    kept = np.cumsum(signal) / max(signal.sum(), 1e-300)
    count = min(coils or int(np.searchsorted(kept, KEPT)) + 1, len(signal))
    if coils is None and count > 0.75 * measured:
        return scan  # little to gain
    basis = vectors[:, ::-1][:, :count]
    inside = lower @ basis
    squares, axes = np.linalg.eigh(inside.conj().T @ inside)
    root = (axes * np.sqrt(np.maximum(squares, 0))) @ axes.conj().T
    matrix = np.zeros((count, measured), np.complex64)
    matrix[:, alive] = root @ basis.conj().T @ np.linalg.inv(lower)

    def mixed(values: np.ndarray) -> np.ndarray:
        """(..., coil, a, b) of all coils to those of the virtual ones."""
        return np.ascontiguousarray(np.einsum("vc,scab->svab", matrix, values, optimize=True))

    out = scan.drop_vars([name for name in (*_MIXED, "noise") if name in scan])
    out = out.drop_vars([name for name in out.variables if "coil" in out[name].dims])
    for name in _MIXED:
        if name in scan:
            array = scan[name].transpose("slice", "coil", ...)
            out[name] = (array.dims, mixed(array.values), array.attrs)
    # T T^H as samples: sqrt(N) [T, i T] has just this covariance.
    noise = np.sqrt(count) * np.concatenate([root, 1j * root], axis=1)
    out["noise"] = (("coil", "noise_sample"), noise.astype(np.complex64))
    doubt = source.noise_doubt() if noise_std is None else None
    if doubt is not None:
        out.attrs["noise_doubt"] = doubt
    return out.assign_attrs(
        coils_measured=measured, coil_energy_kept=round(float(kept[count - 1]), 6)
    )


def _power(kspace: torch.Tensor, whiten: torch.Tensor) -> np.ndarray:
    """E[w w^H] (coil, coil) over the measured samples of all slices."""
    total = torch.zeros(2 * (kspace.shape[1],), dtype=torch.complex128)
    count = 0
    for data in kspace:
        samples = data.flatten(1)
        samples = samples[:, (samples != 0).any(0)]
        total += (samples @ samples.mH).to(torch.complex128)
        count += samples.shape[1]
    power = whiten @ (total / max(count, 1)) @ whiten.mH
    return np.asarray(power.numpy())

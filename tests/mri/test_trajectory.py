"""Scans along trajectories: maps, scale and phase from the gridded centre, and the pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.physics.trajectories import radial

pytest.importorskip("pytorch_finufft", reason="needs the extra noncartesian")

from sciddm.denoiser import NetworkDenoiser
from sciddm.networks import build_network
from sciddm.physics.mri.trajectory import trajectory_covariances, visited_cells
from sciddm.physics.nufft import nufft
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.describe import facts, sampling_mask
from sciddm.pipelines.mri.page import mri_page
from sciddm.pipelines.mri.sampling import sampling_of
from sciddm.process import process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import coil_maps

SIZE, COILS, NOISE = (48, 40), 4, 0.01


def radial_scan(spokes: int, *, seed: int = 0, noise: bool = True) -> tuple[xr.Dataset, np.ndarray]:
    """A head seen by coils along golden-angle spokes, and its image in the phase of the maps."""
    rng = np.random.default_rng(seed)
    image = head_phantom(SIZE, seed=1).astype(np.complex64)
    maps = coil_maps(COILS, SIZE, seed=3)
    maps = maps / np.linalg.norm(maps, axis=0)
    t = torch.from_numpy(radial(spokes, 96, 40)).float()
    seen = torch.from_numpy((maps * image).astype(np.complex64))
    k = nufft(seen, t.reshape(-1, 2)).unflatten(-1, t.shape[:2]).numpy()
    white = rng.standard_normal((2, *k.shape)) / np.sqrt(2)
    k = k + NOISE * (white[0] + 1j * white[1])
    variables = {
        "kspace": (("slice", "coil", "shot", "sample"), k[None].astype(np.complex64)),
        "trajectory": (("shot", "sample", "axis"), t.numpy()),
        "reference": (("slice", "y", "x"), np.abs(image)[None].astype(np.float32)),
    }
    if noise:
        draw = rng.standard_normal((2, COILS, 2000)) * NOISE / np.sqrt(2)
        found = (draw[0] + 1j * draw[1]).astype(np.complex64)
        variables["noise"] = (("coil", "noise_sample"), found)
    attrs = {"image_shape": list(SIZE), "voxel_size_mm": [5.0, 4.0, 4.0]}
    return xr.Dataset(variables, attrs=attrs), image


@pytest.fixture(scope="module")
def pipeline() -> MRIReconstruction:
    """An untrained prior: it shrinks, and knows no anatomy."""
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    return MRIReconstruction(
        NetworkDenoiser(build_network(config), process, data_std=0.6, complex_data=True)
    )


def test_encoded_slice_explains_the_data():
    """y = A x + n at the noise level, for the x that fits best with the estimated maps."""
    scan, image = radial_scan(63)
    source = sampling_of(scan)
    covariance = source.covariance()
    torch.testing.assert_close(
        covariance.diagonal().real, torch.full((COILS,), NOISE**2), rtol=0.2, atol=0
    )
    encoded = source.encode(0, covariance, None, 10)
    m = encoded.measurement
    x = m.A.pinv(m.y, iterations=30)
    head = np.abs(image) > 0.2
    found = encoded.frame.to_scan(x).abs().numpy().squeeze()
    # The spokes reach 20 of the 24 cycles along y: a little of the image is not measured.
    assert np.median(np.abs(found - np.abs(image))[head] / np.abs(image)[head]) < 0.06
    phase = torch.angle(x.squeeze())[torch.from_numpy(head)]
    assert float(phase.abs().median()) < 0.1  # tissue is nearly real, as the prior knows it
    gridded = encoded.zero_filled.abs().numpy()
    assert np.median(gridded[head] / np.abs(image)[head]) == pytest.approx(1, abs=0.03)


def test_noise_from_the_outermost_samples():
    scan, _ = radial_scan(63, noise=False)
    k = torch.from_numpy(scan["kspace"].values)
    t = torch.from_numpy(scan["trajectory"].values)[None]
    for psi in trajectory_covariances(k * 0 + noise_like(k), t).values():
        assert float(psi.diagonal().real.mean() ** 0.5) == pytest.approx(0.5, rel=0.05)


def test_air_along_radial_readouts_shows_the_noise_where_the_border_holds_signal():
    scan, _ = radial_scan(63, noise=False)
    k = torch.from_numpy(scan["kspace"].values)
    t = torch.from_numpy(scan["trajectory"].values)[None]
    candidates = trajectory_covariances(k + 0.06 * noise_like(k), t)
    levels = {name: float(psi.diagonal().real.mean() ** 0.5) for name, psi in candidates.items()}
    assert levels["air along the readouts"] == pytest.approx(0.03, rel=0.15)
    assert levels["border"] > 1.3 * levels["air along the readouts"]
    # On a spiral there is no air, and the border is doubted.
    bent = t + 0.3 * torch.sin(t.flip(-1))
    assert list(trajectory_covariances(k, bent)) == ["border"]


def noise_like(k: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return 0.5 * torch.randn(k.shape, dtype=k.dtype, generator=generator)


def test_visited_cells_are_the_nearest():
    t = torch.tensor([[[0.0, 0.0], [1.4, -2.0], [-2.0, 1.6], [2.4, 0.0]]])
    cells = visited_cells(t, (4, 5))
    assert sorted(map(tuple, cells.nonzero().tolist())) == [(0, 4), (2, 2), (3, 0)]


def test_reconstruction_of_a_radial_scan(pipeline):
    scan, image = radial_scan(34)
    result = pipeline(scan, quality="fast", seed=0)
    assert result["reconstruction"].shape == (1, *SIZE)
    assert result["residual"].dims == ("slice", "shot", "sample")
    head = np.abs(image) > 0.2

    def error(name: str) -> float:
        return float(np.sqrt(np.mean((result[name].values[0] - np.abs(image))[head] ** 2)))

    # Even a prior that knows nothing beats gridding, which takes no aliasing away.
    assert error("reconstruction") < 0.8 * error("zero_filled")
    assert result.attrs["consistency"] < 1.25
    again = pipeline(scan, quality="fast", seed=0)
    xr.testing.assert_identical(result, again)
    mask = sampling_mask(scan)
    assert facts(result)["acceleration"].value == pytest.approx(mask.size / mask.sum(), 1e-3)
    page = mri_page(None, result)
    assert any(p.axes == ("shot", "sample") for s in page.sections for p in s.panels)


def test_few_spokes_have_maps_too(pipeline):
    """Below the least centre of ESPIRiT the maps are those of the low resolution."""
    scan, image = radial_scan(9)
    source = sampling_of(scan)
    encoded = source.encode(0, source.covariance(), None, 10)
    maps = encoded.frame.maps
    true = coil_maps(COILS, SIZE, seed=3)
    true = torch.from_numpy(true / np.linalg.norm(true, axis=0))
    agreement = (maps.conj() * true).sum(0).abs()[torch.from_numpy(np.abs(image) > 0.2)]
    assert float(agreement.median()) > 0.97

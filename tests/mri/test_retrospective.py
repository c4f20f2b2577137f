"""What a scan that is undersampled afterwards is compared with."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from sciddm.data_adapters.mri import open_kspace
from sciddm.physics.fourier import ifft2c
from sciddm.pipelines.mri.retrospective import Undersampling, full_image, undersampled
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan

REQUEST = Undersampling(acceleration=3, acs=8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same noisy scan of four coils with a root of the sum of squares, and with an image."""
    import torch

    scan = simulate_scan(head_phantom((48, 40)), 4, snr_db=10, seed=3)
    air = scan["reference"].values == 0
    k = scan["kspace"].values.astype(np.complex64)
    coils = ifft2c(torch.from_numpy(k)).abs().numpy()
    rss = np.sqrt((coils**2).sum(1)).astype(np.float32)
    folder = tmp_path_factory.mktemp("scans")
    for name, image in (("reconstruction_rss", rss), ("reference", 2 * rss)):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["kspace"], file[name] = k, image
    return folder, rss, air


def test_the_noise_floor_of_a_root_of_squares_is_no_reference(files):
    folder, rss, air = files
    scan = open_kspace(folder / "reconstruction_rss.h5")
    np.testing.assert_array_equal(scan["reference"], rss)
    found = undersampled(scan, REQUEST)
    np.testing.assert_allclose(found["reference"], full_image(scan))
    # 1.94 sigma of four channels, sqrt(pi) / 2 sigma of one if its maps knew nothing of the noise.
    ratio = rss[air].mean() / found["reference"].values[air].mean()
    assert ratio > 1.5


def test_an_image_that_the_file_calls_its_reference_stays(files):
    folder, rss, _ = files
    found = undersampled(open_kspace(folder / "reference.h5"), REQUEST)
    np.testing.assert_allclose(found["reference"], 2 * rss, rtol=1e-6)

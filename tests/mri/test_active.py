"""Active acquisition: budgets, order, and that it looks where the signal is."""

import numpy as np
import pytest
import torch
import xarray as xr

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.networks import build_network
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.acquire import Acquisition, acquired, measure
from sciddm.pipelines.mri.active import CRITERIA, ActiveAcquisition
from sciddm.process import process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan

SHAPE = (40, 32)


@pytest.fixture(scope="module")
def pipeline() -> MRIReconstruction:
    """An untrained prior: it shrinks, and knows no anatomy."""
    torch.manual_seed(0)
    network = build_network(
        {
            "name": "UNet",
            "in_channels": 2,
            "out_channels": 2,
            "channels": [8, 8],
            "num_res_blocks": 1,
            "patch": 2,
            "norm_num_groups": 4,
        }
    )
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    return MRIReconstruction(NetworkDenoiser(network, process, data_std=0.6, complex_data=True))


@pytest.fixture(scope="module")
def full() -> xr.Dataset:
    return simulate_scan(head_phantom(SHAPE, seed=1), 4, snr_db=35.0, seed=2)


@pytest.mark.parametrize("axis", ["ky", "kx", "both"])
def test_the_budget_is_exact_and_the_centre_comes_first(pipeline, full, axis):
    request = Acquisition(lines=16, centre=8, axis=axis, seed=4)
    scan = acquired(full, pipeline, request)
    mask, order = scan["mask"].values[0], scan["order"].values[0]
    assert len(set(order.tolist())) == len(order)
    if axis == "both":
        assert mask.sum() == len(order) == 16 * SHAPE[1]
        centre = {ky * SHAPE[1] + kx for ky in range(16, 24) for kx in range(12, 20)}
        assert set(order[:64].tolist()) == centre
    else:
        lines = mask.all(1 if axis == "ky" else 0)
        assert lines.sum() == len(order) == 16
        assert mask.sum() == 16 * SHAPE[1 if axis == "ky" else 0]
        middle = SHAPE[0 if axis == "ky" else 1] // 2
        assert sorted(order[:8].tolist()) == list(range(middle - 4, middle + 4))
        assert order[0] == middle
    kept = full["kspace"].values[0] * mask
    assert np.array_equal(scan["kspace"].values[0], kept)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_line_of_the_largest_gain_is_next(pipeline, full, criterion):
    kspace = full["kspace"].values[0]

    def begun() -> ActiveAcquisition:
        scan = ActiveAcquisition(pipeline, kspace.shape, lines=10, centre=8, criterion=criterion)
        for line in range(16, 24):
            scan.observe(line, kspace[:, line])
        return scan

    gains = begun().gains()
    assert torch.isinf(gains[16:24]).all()
    assert begun().next() == int(gains.argmax())


def test_the_same_seed_gives_the_same_lines_and_another_gives_others(pipeline, full):
    orders = [
        acquired(full, pipeline, Acquisition(16, centre=8, seed=s))["order"].values[0].tolist()
        for s in (1, 1, 2)
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_slice_does_not_depend_on_the_others(pipeline, full):
    two = xr.concat([full, full.isel(slice=[0])], dim="slice")
    order = acquired(two, pipeline, Acquisition(14, centre=8))["order"].values
    assert np.array_equal(order[0], order[1])


def test_a_scanner_in_the_loop(pipeline, full):
    kspace = full["kspace"].values[0]
    scan = ActiveAcquisition(pipeline, kspace.shape, lines=14, centre=8)
    assert scan.next() == scan.next() == SHAPE[0] // 2
    while (line := scan.next()) is not None:
        assert not scan.mask[line].any()
        scan.observe(line, measure(kspace, line, "ky"))
    assert scan.mask.all(1).sum() == 14
    result = scan.reconstruct("fast", samples=2)
    assert result.attrs["acceleration"] == pytest.approx(40 / 14, abs=1e-3)
    assert result["reconstruction"].shape == (1, *SHAPE)


def test_a_line_measured_unasked_counts(pipeline, full):
    kspace = full["kspace"].values[0]
    scan = ActiveAcquisition(pipeline, kspace.shape, lines=8, centre=8)
    scan.observe(2, kspace[:, 2])
    asked = []
    while (line := scan.next()) is not None:
        asked.append(line)
        scan.observe(line, kspace[:, line])
    assert 2 not in asked
    assert len(asked) == 8  # the centre is measured all the same: maps need it


def test_what_cannot_be_acquired_is_named(pipeline, full):
    kspace = full["kspace"].values[0]
    with pytest.raises(InputError, match="41 of 40 lines"):
        ActiveAcquisition(pipeline, kspace.shape, lines=41)
    with pytest.raises(InputError, match="6 of 40 lines, of which 12"):
        ActiveAcquisition(pipeline, kspace.shape, lines=6)
    with pytest.raises(InputError, match="for samples take entropy"):
        ActiveAcquisition(pipeline, kspace.shape, lines=14, axis="both", criterion="error")
    scan = ActiveAcquisition(pipeline, kspace.shape, lines=14)
    with pytest.raises(InputError, match="there is no line 40"):
        scan.observe(40, kspace[:, 0])
    with pytest.raises(InputError, match=r"line 3 is \(4, 31\)"):
        scan.observe(3, kspace[:, 3, 1:])
    with pytest.raises(InputError, match="NaN"):
        scan.observe(3, np.nan * kspace[:, 3])
    scan.observe(3, kspace[:, 3])
    with pytest.raises(InputError, match="measured before"):
        scan.observe(3, kspace[:, 3])
    partly = full.assign(kspace=full["kspace"] * (np.arange(40) % 2)[None, None, :, None])
    with pytest.raises(InputError, match="undersampled"):
        acquired(partly, pipeline, Acquisition(14))

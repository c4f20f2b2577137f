"""The shift score in a result: attributes, the warning, and a card without one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import ModelError
from sciddm.networks import build_network
from sciddm.physics.mri.masks import make_mask
from sciddm.pipelines.mri import MRIReconstruction
from sciddm.pipelines.mri.describe import facts
from sciddm.pipelines.mri.pipeline import QUALITIES
from sciddm.process import process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan, undersample
from sciddm.uncertainty.pooled_std import pooled_std
from sciddm.uncertainty.shift import FeatureLaw

LAYER = "net.middle_block"


def denoiser() -> NetworkDenoiser:
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    return NetworkDenoiser(build_network(config), process, data_std=0.6, complex_data=True)


def entry(limit: float, features: int = 16) -> dict:
    """Of the means and the standard deviations of 8 channels."""
    law = FeatureLaw(np.zeros(features), np.eye(features)[:2], np.ones(2), 1.0)
    return {"law": law.to_json(), "layer": LAYER, "sigma": 0.3, "limit": limit}


@pytest.fixture(scope="module")
def scan():
    return simulate_scan(head_phantom((32, 32), seed=1), 3, snr_db=35.0, seed=2)


def test_beyond_the_limit_there_is_a_warning_and_the_image_is_the_same(scan):
    plain = MRIReconstruction(denoiser())(scan, quality="fast")
    assert "shift" not in plain.attrs
    results = [
        MRIReconstruction(denoiser(), shift=entry(limit))(scan, quality="fast")
        for limit in (1e6, 1e-6)
    ]
    for result, warned in zip(results, (False, True), strict=True):
        np.testing.assert_array_equal(result["reconstruction"], plain["reconstruction"])
        assert result.attrs["nfe"] == plain.attrs["nfe"]
        found = [w for w in json.loads(result.attrs["warnings"]) if "unlike" in w]
        assert len(found) == int(warned)
        assert facts(result)["shift"].value == result.attrs["shift"] > 0


def test_a_law_of_other_features_is_an_error_that_says_so(scan):
    with pytest.raises(ModelError, match=r"law of 8 features, the layer .* has 16"):
        MRIReconstruction(denoiser(), shift=entry(1.0, features=8))(scan, quality="fast")


def test_the_calibrated_factor_takes_the_place_of_the_settings(scan, tmp_path):
    plain = MRIReconstruction(denoiser())(scan, quality="fast")
    card = {"level": 0.9, "fast": {"spread": 2 * QUALITIES["fast"].spread}}
    pipeline = MRIReconstruction(denoiser(), calibration=card, shift=entry(5.0))
    pipeline.save(tmp_path)
    for one in (pipeline, MRIReconstruction.from_pretrained(tmp_path)):
        assert one.settings("balanced") == QUALITIES["balanced"]
    wide = pipeline(scan, quality="fast")
    np.testing.assert_allclose(wide["std"], 2 * plain["std"], rtol=1e-6)
    np.testing.assert_array_equal(wide["reconstruction"], plain["reconstruction"])
    assert (wide.attrs["spread_from"], plain.attrs["spread_from"]) == ("model card", "quality")
    again = MRIReconstruction.from_pretrained(tmp_path)
    assert again.settings("fast") == pipeline.settings("fast")
    assert again.shift is not None


def test_factors_by_acceleration():
    card = {"fast": {"spread": {"8": 3.0, "4": 2.0}}}
    pipeline = MRIReconstruction(denoiser(), calibration=card)
    for acceleration, factor in ((2, 2.0), (4, 2.0), (5, 2.25), (7, 2.75), (13, 3.0)):
        assert pipeline.settings("fast", acceleration=acceleration).spread == pytest.approx(factor)


def test_a_scan_gets_the_factor_of_its_own_acceleration(scan):
    scan = undersample(scan, make_mask("random", (32, 32), 2, 8, seed=0))
    one = {"fast": {"spread": 1.0}}
    plain = MRIReconstruction(denoiser(), calibration=one)(scan, quality="fast")
    r = plain.attrs["acceleration"]
    assert r == 2
    card = {"fast": {"spread": {"1": 1.0, "11": 11.0}}}
    wide = MRIReconstruction(denoiser(), calibration=card)(scan, quality="fast")
    np.testing.assert_allclose(wide["std"], r * plain["std"], rtol=1e-3)
    assert wide.attrs["spread"] == pytest.approx(r, rel=1e-3)


def test_damaged_entries():
    with pytest.raises(ModelError, match="shift is damaged"):
        MRIReconstruction(denoiser(), shift={"layer": LAYER})
    for factor in (0, -1.0, float("inf"), "wide", {}, {"4": 0}, {"fast": 1.0}, [1.0]):
        with pytest.raises(ModelError, match="no factor"):
            MRIReconstruction(denoiser(), calibration={"fast": {"spread": factor}})


def test_a_card_can_ask_for_a_pooled_standard_deviation(scan):
    plain = MRIReconstruction(denoiser(), calibration={"fast": {"spread": 2.0}})
    entry_ = {"fast": {"spread": 2.0, "pooling_pixels": 2.0}}
    pooled = MRIReconstruction(denoiser(), calibration=entry_)
    one, two = plain(scan, quality="fast"), pooled(scan, quality="fast")
    np.testing.assert_array_equal(one["reconstruction"], two["reconstruction"])
    np.testing.assert_allclose(pooled_std(one["std"].values), two["std"], rtol=1e-5)
    assert (one.attrs["pooling"], two.attrs["pooling"]) == (0.0, 2.0)

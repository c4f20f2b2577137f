"""Another sampler, guidance or number of steps of the verbs of CT."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import sciddm
from sciddm.errors import OptionError
from sciddm.simulation.ct.phantom import body_phantom


@pytest.fixture(scope="module")
def body() -> xr.DataArray:
    return body_phantom((48, 48), 1, seed=0)


def test_denoising_takes_a_solver_and_steps(body):
    low = sciddm.ct.simulate_dose(body, dose=0.25).data["hu"]
    own = sciddm.ct.denoise(low, quality="fast")
    other = sciddm.ct.denoise(low, quality="fast", sampler="dpm-2m", steps=4)
    assert own.attrs["sampler"] == "DDIM, uniform in t"
    assert (other.attrs["sampler"], other.attrs["steps"]) == ("DPM-Solver++(2M)", 4)
    assert other.attrs["nfe"] > own.attrs["nfe"]
    assert "sampler dpm-2m, steps 4" in other.verdict.calibrated.sentence
    assert not np.array_equal(own.std, other.std)


def test_reconstruction_takes_guidance(body):
    sinogram = sciddm.ct.simulate_dose(body, dose=0.25, projections=True, views=40).data
    other = sciddm.ct.reconstruct(sinogram, quality="fast", guidance="gibbs", steps=3)
    assert other.attrs["guidance"] == "Split Gibbs"
    assert other.attrs["steps"] == 3
    assert other.verdict.calibrated.answer in ("not checked", "no")
    assert abs(float((other.estimate.values[0] - body.values[0]).mean())) < 60


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("reconstruct", {"method": "tv", "guidance": "mmps"}, "tv draws none"),
        ("reconstruct", {"method": "fbp", "steps": 4}, "fbp draws none"),
        ("denoise", {"method": "filter2noise", "sampler": "heun"}, "filter2noise draws none"),
    ],
)
def test_methods_that_draw_nothing_refuse_them(body, verb, options, said):
    with pytest.raises(OptionError, match=said):
        getattr(sciddm.ct, verb)(body, **options)

"""--sampler, --guidance and --steps: what was chosen is what runs, and is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sciddm.denoiser import Denoiser, NetworkDenoiser
from sciddm.errors import OptionError
from sciddm.method_choice import LINEAR, OWN, MethodChoice
from sciddm.networks import build_network
from sciddm.physics import CartesianMRI, Measurement
from sciddm.pipelines.mri.pipeline import MRIReconstruction
from sciddm.pipelines.mri.settings import PriorSettings
from sciddm.pipelines.mri.slices import SliceChains
from sciddm.process import EDM, process_from_config
from sciddm.simulation.mri.phantom import head_phantom
from sciddm.simulation.mri.scan import simulate_scan
from sciddm.uncertainty.verdict import Finding

SHAPE = (32, 32)


@pytest.fixture(scope="module")
def pipeline() -> MRIReconstruction:
    torch.manual_seed(0)
    config = {"name": "UNet", "in_channels": 2, "out_channels": 2, "channels": [8, 8]}
    config |= {"num_res_blocks": 1, "patch": 2, "norm_num_groups": 4}
    process = process_from_config({"name": "EDM", "sigma_min": 0.002, "sigma_max": 10.0})
    denoiser = NetworkDenoiser(build_network(config), process, data_std=0.6, complex_data=True)
    calibration = {"fast": {"spread": 1.3}}
    return MRIReconstruction(denoiser, calibration=calibration)


@pytest.fixture(scope="module")
def scan():
    head = np.reshape(head_phantom(SHAPE, seed=3, contrast="t2"), SHAPE)
    return simulate_scan(head, 4, 30.0, seed=1)


def test_a_chosen_method_runs_and_is_told(pipeline, scan):
    options = {"quality": "fast", "undersample": 2, "acs": 10}
    own = pipeline(scan, **options)
    assert own.attrs["sampler"].startswith("ancestral")
    assert "guidance" not in own.attrs
    other = pipeline(scan, **options, sampler="dpm-2m", guidance="pigdm", steps=3)
    assert other.attrs["sampler"] == "DPM-Solver++(2M)"
    assert other.attrs["guidance"].startswith("Pseudo-inverse")
    assert other.attrs["steps"] == 3
    assert other.attrs["verdict_calibrated"] in ("not checked", "no")
    assert "sampler dpm-2m, guidance pigdm, steps 3" in other.attrs["error_field"]
    # One evaluation and one VJP a level: the approach has two short chains of its own.
    assert other.attrs["nvjp"] < own.attrs["nvjp"] * 2
    assert not np.array_equal(other["reconstruction"], own["reconstruction"])


class White(Denoiser):
    """Exact for white images with E|x|^2 = 1."""

    process = EDM()

    def forward(self, x_t, t, y=None, cond=None):
        return x_t / (1 + float(self.process.sigma(t)) ** 2)


@pytest.mark.parametrize("options", [{"guidance": "mmps"}, {"guidance": "gibbs"}])
def test_chosen_guidance_gives_the_posterior_of_a_gaussian(options):
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(1, 8, 8, dtype=torch.complex64, generator=generator)
    m = Measurement(y, CartesianMRI(torch.ones(8, 8, dtype=torch.bool)), 0.5)
    settings = PriorSettings(samples=64, steps=20, sigma_max=20.0, sigma_min=0.02)
    chains = SliceChains(White(), m, settings, 0, 0, choice=MethodChoice(**options))
    first = torch.zeros(1, 1, 8, 8, dtype=torch.complex64)
    drawn = chains.draw(range(64), first, 20, 20.0)
    exact = m.A.adjoint(y) / (1 + 0.25)
    spread = (0.25 / 1.25) ** 0.5
    error = (drawn.mean(0) - exact).abs().square().mean().sqrt()
    assert float(error) < 0.5 * spread
    assert float(drawn.std(0).mean()) == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize(
    ("options", "name", "said"),
    [
        ({"sampler": "euler"}, "sampler", "take one of ddim"),
        ({"guidance": "magic"}, "guidance", "take one of"),
        ({"guidance": "repaint"}, "guidance", "needs a mask, which this measurement is not"),
        ({"guidance": "ddrm"}, "guidance", "simple SVD"),
        ({"guidance": "gibbs", "sampler": "heun"}, "sampler", "gibbs has steps of its own"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(pipeline, scan, options, name, said):
    with pytest.raises(OptionError, match=said) as error:
        pipeline(scan, quality="fast", **options)
    assert error.value.option == name
    assert "mmps" in str(error.value) or name == "sampler"


def test_the_second_verdict_is_never_yes_for_another_method():
    yes = Finding("yes", sentence="It was predicted.")
    no = Finding("no", sentence="It was not.")
    assert OWN.calibrated(yes) == yes
    other = MethodChoice(sampler="heun")
    assert other.calibrated(yes).answer == "not checked"
    assert "sampler heun" in other.calibrated(yes).sentence
    assert other.calibrated(no) == no
    with pytest.raises(OptionError, match="no guidance"):
        MethodChoice(guidance="mmps").check()
    MethodChoice(guidance="mmps", sampler="heun").check(LINEAR)

"""Simulated scans: what is known of them is true of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sciddm.companding import expand_companded
from sciddm.errors import InputError
from sciddm.physics.ultrasound.waves import Beam, envelope
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan
from sciddm.pipelines.ultrasound.training_data import HazePatches, HazyPairs, TissuePatches
from sciddm.simulation.ultrasound.anatomy import draw_anatomy, smooth_field
from sciddm.simulation.ultrasound.echoes import Clutter, draw_beam, haze_echoes, tissue_echoes

SMALL = Wanted(depth=384, lines=64, seed=1)


def test_tissue_has_the_level_that_was_asked_for():
    """A uniform map of -6 dB at a level of -20 dB: echoes of root mean square 10^(-26/20)."""
    rng = np.random.default_rng(0)
    echo = np.full((512, 128), -6.0, np.float32)
    rf = tissue_echoes(echo, Beam(0.6, 1.2), -20.0, rng, widening=1.0)
    assert rf.std() == pytest.approx(10 ** (-26 / 20), rel=0.04)
    # Fully developed speckle: the envelope is Rayleigh distributed, mean / std = 1.913.
    env = envelope(rf)
    assert env.mean() / env.std() == pytest.approx(1.913, rel=0.05)


def test_haze_is_wider_than_tissue_and_fades_with_depth():
    rng = np.random.default_rng(0)
    clutter = Clutter(-20.0, decay=0.2, floor_db=-20, patchy_db=0.0, wider=3.0, noise_db=-80.0)
    beam = Beam(0.6, 1.0)
    haze = haze_echoes((1024, 256), beam, clutter, rng)
    tissue = tissue_echoes(np.zeros((1024, 256), np.float32), beam, -20.0, rng)

    def neighbours(rf: np.ndarray) -> float:
        return float(np.corrcoef(rf[:, :-1].ravel(), rf[:, 1:].ravel())[0, 1])

    # Gaussian beams of standard deviation w: lines d apart correlate by exp(-d^2 / (4 w^2)).
    assert neighbours(tissue) == pytest.approx(np.exp(-1 / 4), abs=0.03)
    assert neighbours(haze) == pytest.approx(np.exp(-1 / 36), abs=0.03)
    ratio = haze[600:].std() / haze[:60].std()
    assert ratio < 0.3


def test_layers_return_at_multiples_of_their_depth():
    rng = np.random.default_rng(0)
    clutter = Clutter(-90.0, layers=((0.2, -20.0),), repeat_db=6.0, noise_db=-120.0)
    env = envelope(haze_echoes((1000, 64), Beam(0.6, 1.0), clutter, rng)).mean(axis=1)
    peaks = [int(np.argmax(env[a - 60 : a + 60])) + a - 60 for a in (200, 400, 600)]
    assert peaks == pytest.approx([200, 400, 600], abs=12)
    steps = 20 * np.log10([env[peaks[i]] / env[peaks[i + 1]] for i in range(2)])
    # By 6 dB, and more, since a bent layer is bent more with every repeat.
    assert ((steps > 4) & (steps < 16)).all()


def test_a_scan_is_tissue_and_haze_and_repeats():
    hazy, clean = simulate_scan(SMALL)
    total = clean["frames"] + clean["true_haze"]
    assert np.abs(hazy["frames"] - total).max() < 1e-6
    again, _ = simulate_scan(SMALL)
    assert np.array_equal(hazy["frames"], again["frames"])
    other, _ = simulate_scan(replace(SMALL, seed=2))
    assert not np.array_equal(hazy["frames"], other["frames"])
    fs, fc = hazy.attrs["fs"], hazy.attrs["fc"]
    assert fs == pytest.approx(4 * fc)
    assert float(hazy["depth"][1]) == pytest.approx(1540 / (2 * fs))


@pytest.mark.parametrize("view", ["four-chamber", "short-axis", "long-axis"])
def test_regions_of_hearts_are_dark_and_bright(view):
    _, clean = simulate_scan(replace(SMALL, view=view, lines=96))
    env = envelope(clean["frames"][0].values)
    blood, tissue = (clean[n][0].values for n in ("blood_roi", "tissue_roi"))
    assert blood.sum() > 50
    assert tissue.sum() > 50
    assert not (blood & tissue).any()
    assert 20 * np.log10(env[tissue].mean() / env[blood].mean()) > 15


def test_muscle_has_fibres_along_a_direction_and_nothing_below_a_bone():
    """Fibres repeat in depth; where a bone's bright surface lies, what is below is dark."""
    found = {"fibres": 0, "bones": 0}
    for seed in range(40):
        map_ = draw_anatomy(np.random.default_rng(seed), view="muscle")
        assert not map_.blood.any()
        if map_.muscle.any():
            found["fibres"] += bool(map_.echo_db[map_.muscle].std() > 3)
        below = map_.echo_db[-4:].mean()
        top = np.percentile(map_.echo_db, 99.5)
        if top > 5 and below < -25:
            found["bones"] += 1
            assert map_.echo_db.max(axis=0).mean() > below + 20
    assert found["fibres"] > 20
    assert 4 < found["bones"] < 40


def test_a_map_is_drawn_from_the_views_that_are_asked_for():
    maps = [draw_anatomy(np.random.default_rng(s), view=("muscle", "phantom")) for s in range(8)]
    alone = [draw_anatomy(np.random.default_rng(s), view="four-chamber") for s in range(8)]
    assert all(m.blood.any() for m in alone)
    assert not all(m.blood.any() for m in maps)


def test_a_beating_heart_is_the_same_heart():
    rngs = [np.random.default_rng(4) for _ in range(2)]
    wide, narrow = (
        draw_anatomy(r, view="short-axis", phase=p) for r, p in zip(rngs, (0, 0.5), strict=True)
    )
    assert narrow.blood.sum() < 0.9 * wide.blood.sum()
    assert (narrow.blood & wide.blood).sum() > 0.85 * narrow.blood.sum()


def test_iq_is_the_rf_in_baseband():
    rf, _ = simulate_scan(SMALL)
    iq, _ = simulate_scan(replace(SMALL, kind="iq"))
    assert np.abs(np.abs(iq["frames"][0]) - envelope(rf["frames"][0].values)).max() < 1e-5


def test_without_haze_a_scan_is_clean():
    hazy, clean = simulate_scan(replace(SMALL, haze_db=None))
    assert np.array_equal(hazy["frames"], clean["frames"])
    with pytest.raises(InputError, match="64 samples"):
        simulate_scan(replace(SMALL, depth=8))


def test_smooth_fields_are_smooth_and_of_unit_variance():
    field = smooth_field(np.random.default_rng(0), (100, 60), 0.2)
    assert field.std() == pytest.approx(1.0, rel=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 0.6


@pytest.mark.parametrize("kind", ["rf", "envelope"])
@pytest.mark.parametrize("cls", [TissuePatches, HazePatches])
def test_patches_are_companded_repeat_in_validation_and_vary_in_training(cls, kind):
    held = cls(kind, "validate", (64, 32))
    assert torch.equal(held[3], cls(kind, "validate", (64, 32))[3])
    assert not torch.equal(held[3], held[4])
    values = torch.stack([held[i] for i in range(5)])
    amplitudes = expand_companded(values)
    assert 0.1 < float(values.std()) < 0.6
    assert float(amplitudes.abs().max()) < 8
    if kind == "envelope":
        assert float(values.min()) >= 0
    fresh = cls(kind, "train", (64, 32), length=10)
    torch.manual_seed(0)
    assert not torch.equal(fresh[0], fresh[0])
    assert held.representation["data"] == kind


def test_beams_are_drawn_within_what_the_cards_say():
    beams = [draw_beam(np.random.default_rng(i)) for i in range(50)]
    assert all(0.7 <= b.lines <= 2.2 and 0.4 <= b.bandwidth <= 0.85 for b in beams)


def test_pairs_are_tissue_and_the_same_with_haze():
    held = HazyPairs("validate", (64, 32))
    pair = held[0]
    haze = expand_companded(pair["y"]) - expand_companded(pair["x0"])
    assert float(haze.abs().max()) > 0
    # Haze does not know the tissue: over many pairs their echoes are not correlated.
    products, sizes = 0.0, 0.0
    for i in range(20):
        x, y = (expand_companded(held[i][k]) for k in ("x0", "y"))
        x, h = x / x.norm(), (y - x) / (y - x).norm()
        products, sizes = products + float((x * h).sum()), sizes + 1
    assert abs(products / sizes) < 0.05

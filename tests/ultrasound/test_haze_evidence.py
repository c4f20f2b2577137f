"""Echoes without haze are told from echoes with some."""

from __future__ import annotations

import torch

from sciddm.physics.ultrasound.representation import represent
from sciddm.physics.ultrasound.spectra import LocalSpectra
from sciddm.pipelines.ultrasound.pipeline import _AGAINST
from sciddm.pipelines.ultrasound.simulate import Wanted, simulate_scan


def test_the_limit_lies_between_a_hazy_and_a_clean_scan() -> None:
    hazy, clean = simulate_scan(Wanted(depth=384, lines=96, frames=1, haze_db=-26.0, seed=3003))
    evidence = []
    for scan in (hazy, clean):
        frame = represent(scan).to_model(scan["frames"].values[0])
        evidence.append(LocalSpectra(torch.from_numpy(frame)).evidence())
    assert evidence[0] > 0 > _AGAINST["rf"] > evidence[1]

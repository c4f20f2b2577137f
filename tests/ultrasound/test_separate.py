"""What sampling leaves between the scan and the sum of its parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import randn

from sciddm.companding import MU, compand, compand_slope
from sciddm.physics.ultrasound.mixing import CompandedEchoes, CompandedEnvelopes, CompandedSum
from sciddm.pipelines.ultrasound.separate import reconciled
from sciddm.pipelines.ultrasound.settings import QUALITIES

SETTINGS = replace(QUALITIES["balanced"], sigma_min=0.03, noise=1e-4)


@pytest.mark.parametrize("mixture", [CompandedEchoes(), CompandedEnvelopes()])
def test_reconciled_parts_give_the_scan(mixture: CompandedSum) -> None:
    truth = compand(randn(1, 2, 40, 30, dtype=torch.float32).abs() * 0.1)
    y = mixture(truth)[0, 0]
    off = truth + SETTINGS.sigma_min * randn(4, 2, 40, 30, dtype=torch.float32, seed=1)
    before, after = (
        (y - mixture(x)[:, 0]).square().mean().sqrt()
        for x in (off, reconciled(off, y, mixture, SETTINGS))
    )
    assert after < 0.2 * before


def test_what_is_missing_goes_to_parts_as_their_amplitudes_are_unknown() -> None:
    tissue, haze = torch.tensor(0.5), torch.tensor(0.02)
    mixture = CompandedEchoes()
    off = compand(torch.stack([tissue, haze])).reshape(1, 2, 1, 1)
    y = compand(tissue + haze + 0.001).reshape(1, 1)
    x, h = mixture.parts(reconciled(off, y, mixture, SETTINGS))
    # Equal errors in companded units are errors of amplitude as 1 + mu |x|.
    expected = (compand_slope(haze, MU) / compand_slope(tissue, MU)) ** 2
    ratio = (x - tissue) / (h - haze)
    assert float(ratio) == pytest.approx(float(expected), rel=0.02)
    assert float(x + h - tissue - haze) == pytest.approx(0.001, rel=0.02)


def test_haze_is_better_known_than_as_the_scan_less_tissue() -> None:
    mixture = CompandedEchoes()
    tissue, haze = (
        a * randn(200, 100, dtype=torch.float32, seed=s) for a, s in ((0.1, 2), (0.01, 3))
    )
    y = compand(tissue + haze)
    state = compand(torch.stack([tissue, haze])[None])
    off = state + SETTINGS.sigma_min * randn(1, 2, 200, 100, dtype=torch.float32, seed=4)
    first, second = (
        (tissue + haze - mixture.parts(x)[0][0, 0] - haze).square().mean()
        for x in (off, reconciled(off, y, mixture, SETTINGS))
    )
    assert second < 0.1 * first

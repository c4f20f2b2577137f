"""Haze as a smooth veil over an envelope."""

from __future__ import annotations

import numpy as np
import torch

from sciddm.physics.ultrasound.veil import veil


def test_a_veil_over_dark_and_bright_parts_has_its_own_power():
    """Rayleigh speckle: haze of power 1 everywhere, tissue of power 100 in a band."""
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((4, 192, 96)).astype(np.float32) / 2**0.5
    tissue = np.zeros((192, 96), np.float32)
    tissue[88:104] = 10
    envelope = np.hypot(fields[0] + tissue * fields[2], fields[1] + tissue * fields[3])
    share = veil(torch.from_numpy(envelope)).numpy()
    haze = share * envelope**2
    assert 0.005 < share[92:100].mean() < 0.03
    # Where the veil is all there is, half of it: the rest is left to the priors.
    assert 0.4 < haze[:50].mean() < 0.5
    assert share.max() <= 0.5
    assert 0.5 < haze[92:100].mean() < 2


def test_over_silence_there_is_none():
    """Tissue in a band and nothing else: what is dark has no power, so no veil lies over it."""
    rng = np.random.default_rng(1)
    envelope = np.zeros((192, 96), np.float32)
    envelope[88:104] = np.hypot(*rng.standard_normal((2, 16, 96)))
    assert float(veil(torch.from_numpy(envelope))[90:102].max()) < 1e-3
    silent = torch.zeros(20, 12)
    assert torch.equal(veil(silent) * silent.square(), silent)  # and no NaN

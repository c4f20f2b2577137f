"""The measurement of tissue and haze: its value, its Jacobian, and how it is sampled."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from support import randn
from ultrasound_helpers import White

from sciddm.companding import compand, expand_companded
from sciddm.method_choice import MethodChoice
from sciddm.physics import Operator
from sciddm.physics.ultrasound.mixing import CompandedEchoes, CompandedEnvelopes
from sciddm.pipelines.ultrasound import separate as module
from sciddm.pipelines.ultrasound.separate import patches, separate, spans
from sciddm.pipelines.ultrasound.settings import Settings, settings_for
from sciddm.priors.joint import JointDenoiser

SETTINGS = Settings(samples=2, steps=4, follow_steps=2, guidance="pigdm")
kinds = pytest.mark.parametrize("kind", [CompandedEchoes, CompandedEnvelopes])


def state(seed: int = 0) -> torch.Tensor:
    return 0.4 * randn(2, 2, 5, 4, seed=seed)


def test_echoes_add_and_envelopes_add_in_power():
    x = state().abs()
    X, H = expand_companded(x).chunk(2, dim=1)
    assert torch.allclose(CompandedEchoes(0.7)(x), compand(X + 0.7 * H))
    assert torch.allclose(
        CompandedEnvelopes(0.7)(x), compand((X**2 + 0.49 * H**2).sqrt()), atol=1e-8
    )


@kinds
@pytest.mark.parametrize("gamma", [1.0, 0.4, 0.0])
def test_the_jacobian_in_closed_form_is_the_true_one(kind, gamma):
    """Against automatic differentiation, forwards and backwards."""
    A, x = kind(gamma), state() + 0.01
    exact = Operator.linearised(A, x)
    closed = A.linearised(x)
    v, w = randn(2, 2, 5, 4, seed=2), randn(2, 1, 5, 4, seed=3)
    assert torch.allclose(closed(v), exact(v), rtol=1e-8)
    assert torch.allclose(closed.adjoint(w), exact.adjoint(w), rtol=1e-8)


@kinds
@pytest.mark.parametrize("gamma", [0.0, 0.6, 2.0])
def test_the_first_guess_gives_the_scan(kind, gamma):
    A, y = kind(gamma), 0.25 * randn(40, 24, dtype=torch.float32).abs() + 0.05
    noise = randn(2, 2, 40, 24, seed=1, dtype=torch.float32)
    assert torch.allclose(A(A.begin(y, noise))[:, 0], y.expand(2, -1, -1), atol=1e-4)


# Sampling ---------------------------------------------------------------------------------------


def pair(tissue: float = 0.4, haze: float = 0.3) -> JointDenoiser:
    return JointDenoiser([White(tissue), White(haze)])


def run(y: torch.Tensor, gamma: float = 1.0, **options):
    settings = options.pop("settings", SETTINGS)
    seen = torch.ones(y.shape, dtype=torch.bool)
    return separate(
        y,
        pair(),
        CompandedEchoes(gamma),
        settings,
        seed=options.pop("seed", 0),
        seen=seen,
        **options,
    )


def test_patches_give_what_the_whole_gives(monkeypatch):
    """With priors of single pixels: noise belongs to places, and fading weights add up."""
    y = 0.4 * randn(50, 44, dtype=torch.float32)
    whole = run(y)
    monkeypatch.setattr(module, "PATCH", (24, 24))
    monkeypatch.setattr(module, "OVERLAP", (6, 5))
    assert len(list(patches((50, 44)))) > 4
    tiled = run(y)
    assert torch.allclose(tiled.state, whole.state, atol=2e-6)
    assert tiled.residual == pytest.approx(whole.residual, rel=1e-3)


@pytest.mark.parametrize("length", [5, 24, 25, 47, 48, 100, 1999])
def test_spans_cover_everything_and_overlap(length):
    found = spans(length, 24, 6)
    assert found[0].start == 0
    assert found[-1].stop == length
    assert all(s.stop - s.start <= 24 and s.start % 8 == 0 for s in found)
    assert all(b.start <= a.stop - 6 for a, b in pairwise(found))


@pytest.mark.parametrize("guidance", ["mmps", "pigdm"])
def test_the_parts_give_the_scan(guidance):
    """Every likelihood step ends near what remains uncertain; without one the priors decide."""
    y = 0.4 * randn(32, 24, dtype=torch.float32)
    settings = Settings(samples=2, steps=12, follow_steps=2, guidance=guidance)
    assert run(y, settings=settings).residual < {"pigdm": 1.2, "mmps": 3}[guidance]
    loose = Settings(samples=2, steps=12, follow_steps=2, guidance="dps", zeta=0.0)
    assert run(y, settings=loose).residual > 4


def test_another_solver_and_other_levels():
    """Multistep draws give the scan as ancestral ones do; Heun evaluates twice."""
    y = 0.4 * randn(32, 24, dtype=torch.float32)
    ancestral, multistep, heun = (
        run(y, settings=Settings(samples=2, steps=12, follow_steps=2, solver=solver))
        for solver in (None, "dpm-2m-sde", "heun")
    )
    assert multistep.residual < 1.2
    assert not torch.equal(multistep.state, ancestral.state)
    assert multistep.cost.nfe == ancestral.cost.nfe == 2 * 2 * 13
    assert heun.cost.nfe == 2 * 2 * 25
    chosen = settings_for("fast", choice=MethodChoice("heun", None, 3))
    assert (chosen.solver, chosen.steps, chosen.follow_steps) == ("heun", 3, 3)


def test_gamma_decides_how_much_haze_may_explain():
    """With white priors the share of haze grows with gamma; at 0 tissue is the scan."""
    y = 0.4 * randn(32, 24, dtype=torch.float32)
    left = []
    for gamma in (0.0, 0.3, 1.0, 3.0):
        tissue = run(y, gamma).state[:, 0].mean(0)
        left.append(float((y - tissue).square().mean().sqrt()))
    assert left == sorted(left)
    assert left[0] < 2 * SETTINGS.noise
    assert left[3] > 4 * SETTINGS.noise


def test_a_frame_goes_on_from_the_one_before():
    """Fewer steps; and with the same noise two frames differ as those before them did."""
    y = 0.4 * randn(32, 24, dtype=torch.float32)
    before = [run(y, seed=seed).state for seed in (0, 9)]
    follow = [run(y, before=state, seed=5) for state in before]
    assert follow[0].cost.nfe < run(y, seed=5).cost.nfe
    differences = torch.stack(
        [(before[0] - before[1]).flatten(), (follow[0].state - follow[1].state).flatten()]
    )
    assert torch.corrcoef(differences)[0, 1] > 0.3  # 0.43; 0 / 0 if what was before did not count


def test_the_same_seed_gives_the_same_bits():
    y = 0.4 * randn(16, 16, dtype=torch.float32)
    assert torch.equal(run(y).state, run(y).state)
    assert not torch.equal(run(y).state, run(y, seed=1).state)


def test_parts_that_cancel_are_halved_from_frame_to_frame():
    """They leave no trace in the scan: nothing else would keep them from growing along a clip."""
    parts, apart = 0.1 * randn(2, 2, 8, 6), randn(2, 1, 8, 6, seed=1)
    cancelling = parts + torch.cat([apart, -apart], dim=1)
    made = expand_companded(module._midway(compand(parts), compand(cancelling), 255.0))
    assert torch.allclose(made - parts, torch.cat([apart, -apart], dim=1) / 2, atol=1e-6)
    assert torch.allclose(made.sum(dim=1), parts.sum(dim=1), atol=1e-6)

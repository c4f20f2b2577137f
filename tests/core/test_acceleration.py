"""Shortcuts against what they stand for, the plan of a card, and the switch."""

from __future__ import annotations

import contextvars
import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn import functional

from sciddm.acceleration import NO_PLAN, Plan, active, evaluating, follows_plans, use
from sciddm.acceleration.attention import attend
from sciddm.acceleration.certificate import Measured, certify, shortcuts
from sciddm.acceleration.norm_silu import norm_silu
from sciddm.errors import ModelError
from sciddm.networks.attention import Attention
from sciddm.networks.group_norm import GroupNorm, silu_of
from sciddm.physics.cg import conjugate_gradient_image, preconditioned_image
from sciddm.physics.spectral.median import median


def norm(dtype: torch.dtype) -> GroupNorm:
    generator = torch.Generator().manual_seed(1)
    layer = GroupNorm(3, 12, eps=1e-3)
    for parameter in layer.parameters():
        parameter.detach().normal_(generator=generator)
    return layer.to(dtype).requires_grad_(False)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_norm_silu_is_the_two_layers_and_every_gradient_is_its_own(layout):
    layer = norm(torch.float64)
    x = (3 * torch.randn(2, 12, 7, 5, dtype=torch.float64) + 1).contiguous(memory_format=layout)
    x.requires_grad_(True)
    ours, parts = norm_silu(layer, x), functional.silu(layer(x))
    assert torch.equal(ours, parts)
    for seed in (0, 1):  # the second uses what the first has stored
        g = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        mine = torch.autograd.grad(ours, x, g, retain_graph=True)[0]
        reference = torch.autograd.grad(parts, x, g, retain_graph=True)[0]
        assert torch.allclose(mine, reference, atol=1e-12)
        assert g.equal(
            torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
        )


@pytest.mark.parametrize(("tokens", "stored"), [(600, True), (600, False), (1100, True)])
def test_attend_is_attention_to_the_rounding_of_bfloat16(monkeypatch, tokens, stored):
    from sciddm.acceleration import attention

    monkeypatch.setattr(attention, "_PART", 2**18)  # several parts, the last one shorter
    if not stored:
        monkeypatch.setattr(attention, "_STORED", 0)
    generator = torch.Generator().manual_seed(0)
    q, k, v, g = (
        torch.randn(1, 2, tokens, 8, generator=generator) * s for s in (2.0, 2.0, 1.0, 1.0)
    )
    answers = []
    for function in (attend, functional.scaled_dot_product_attention):
        inputs = [t.clone().requires_grad_(True) for t in (q, k, v)]
        out = function(*inputs)
        answers.append([out.detach(), *torch.autograd.grad(out, inputs, g)])
    for ours, torchs in zip(*answers, strict=True):
        assert (ours - torchs).norm() < 0.012 * torchs.norm()


def test_attend_takes_scores_beyond_the_range_of_exp():
    q = torch.full((1, 1, 512, 8), 60.0)
    k = torch.cat([q[:, :, :1], -q[:, :, 1:]], dim=2)
    v = torch.arange(512.0).reshape(1, 1, 512, 1).expand(-1, -1, -1, 8).contiguous()
    assert torch.allclose(attend(q, k, v), torch.zeros(1), atol=1e-6)


def test_layers_follow_the_plan_only_while_a_network_with_it_is_evaluated():
    x = torch.randn(1, 12, 4, 4, requires_grad=True)
    layer = norm(torch.float32)

    def name() -> str:
        return type(silu_of(layer, x).grad_fn).__name__

    with evaluating(Plan(norm_silu=True)):
        assert "NormSiLU" in name()
        assert active().norm_silu
    assert "NormSiLU" not in name()
    with use("none"), evaluating(Plan(norm_silu=True)):
        assert "NormSiLU" not in name()
        assert active() == NO_PLAN
        assert not follows_plans()
    assert follows_plans()
    with pytest.raises(ValueError, match="plan or none"):
        contextvars.copy_context().run(lambda: use("fast").__enter__())


def test_attention_of_few_tokens_or_without_a_gradient_stays_torchs():
    layer = Attention(16, 2).requires_grad_(False)
    x = torch.randn(1, 600, 16)
    with evaluating(Plan(attention=True)), torch.autocast("cpu", torch.bfloat16):
        quick = layer(x.clone().requires_grad_(True))
        plain = layer(x)
        few = layer(x[:, :100].clone().requires_grad_(True))
    names = {"quick": set(), "few": set()}
    for key, out in (("quick", quick), ("few", few)):
        nodes = [out.grad_fn]
        while nodes:
            node = nodes.pop()
            names[key].add(type(node).__name__)
            nodes += [n for n, _ in node.next_functions if n is not None]
    assert "_AttendBackward" in names["quick"]
    assert "_AttendBackward" not in names["few"]
    assert torch.allclose(quick.float(), plain.float(), atol=0.02)


def test_a_plan_is_read_from_a_card_and_refuses_what_no_plan_has():
    plan = Plan.from_card({"attention": True, "settings": {"fast": {"steps": 3}}})
    assert plan.attention
    assert not plan.norm_silu

    @dataclass(frozen=True)
    class Settings:
        steps: int = 5
        lam: float = 1.0

    assert plan.apply(Settings(), "fast") == Settings(steps=3)
    assert plan.apply(Settings(), "best") == Settings()
    for entry in ({"int4": True}, {"attention": 1}, {"settings": [1]}, {"settings": {"fast": 2}}):
        with pytest.raises(ModelError):
            Plan.from_card(entry)
    with pytest.raises(ModelError, match="krylov"):
        Plan.from_card({"settings": {"fast": {"krylov": 1}}}).apply(Settings(), "fast")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 2, 5, 4095, 4096, 9001])
def test_median_is_numpys_bit_for_bit(count, dtype):
    values = np.random.default_rng(count).standard_normal(count).astype(dtype)
    for x in (values, np.sort(values), np.round(values), np.repeat(values, 16)[:count]):
        before = x.copy()
        assert median(x) == np.median(x)
        assert median(x).dtype == np.median(x).dtype
        assert np.array_equal(x, before)
    values[count // 2] = np.nan
    assert np.isnan(median(values))


def test_one_step_of_a_perfect_preconditioner_solves():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(2, 9, 6, dtype=torch.complex128, generator=generator)
    matrix = a @ a.mH + 0.1 * torch.eye(9)
    rhs = torch.randn(2, 9, dtype=torch.complex128, generator=generator)

    def apply(p):
        return (matrix @ p[..., None])[..., 0], (a.mH @ p[..., None])[..., 0]

    exact = (a.mH @ torch.linalg.solve(matrix, rhs[..., None]))[..., 0]
    zero = torch.zeros(2, 6, dtype=rhs.dtype)
    one = preconditioned_image(
        apply, lambda r: torch.linalg.solve(matrix, r[..., None])[..., 0], rhs, zero, 1, 1
    )
    assert torch.allclose(one, exact, atol=1e-12)
    # Without one it is the plain method.
    for steps in (1, 2, 6, 9):
        plain = conjugate_gradient_image(apply, rhs, zero, 1, steps)
        assert torch.allclose(preconditioned_image(apply, lambda r: r, rhs, zero, 1, steps), plain)


def measured(**changes: float) -> Measured:
    return Measured(
        **{"psnr": 30.0, "ssim": 0.9, "coverage": 0.9, "misfit": 1.0, "seconds": 9.0} | changes
    )


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"psnr": 29.91, "ssim": 0.896, "coverage": 0.909, "misfit": 1.01}, ()),
        ({"psnr": 31.0, "ssim": 0.95, "seconds": 1.0}, ()),
        ({"psnr": 29.8}, ("psnr",)),
        ({"ssim": 0.89}, ("ssim",)),
        ({"coverage": 0.88}, ("coverage",)),
        ({"coverage": 0.92}, ("coverage",)),
        ({"misfit": 0.97}, ("misfit",)),
        ({"psnr": float("nan")}, ("psnr",)),
    ],
)
def test_a_certificate_names_the_limits_that_are_not_kept(change, broken):
    found = certify("x", [measured()] * 2, [measured(**change)] * 2)
    assert found.broken == broken
    assert found.holds == (not broken)
    assert ("accepted" in str(found)) == (not broken)


def test_a_certificate_is_of_means_and_tells_the_worst_case():
    found = certify("x", [measured()] * 2, [measured(psnr=30.3), measured(psnr=29.8)])
    assert found.holds
    assert found.worst_db == pytest.approx(-0.2)
    with pytest.raises(ValueError, match="cases"):
        certify("x", [measured()], [])


@pytest.mark.parametrize("biased", [False, True])
def test_a_biased_shortcut_is_refused_on_a_posterior_in_closed_form(biased):
    """x ~ N(0, 1), y = x + n: draws from too narrow a posterior have the same mean."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(4, 20_000, generator=generator)
    y = x + 0.5 * torch.randn(4, 20_000, generator=generator)
    mean, std = y / 1.25, 0.2**0.5

    def case(i: int, width: float) -> Measured:
        draws = mean[i] + width * std * torch.randn(64, x.shape[1], generator=generator)
        low, high = draws.quantile(0.05, 0), draws.quantile(0.95, 0)
        inside = (x[i] >= low) & (x[i] <= high)
        error = (draws.mean(0) - x[i]).square().mean()
        return measured(psnr=-10 * float(error.log10()), coverage=float(inside.float().mean()))

    without = [case(i, 1.0) for i in range(4)]
    found = certify("x", without, [case(i, 0.9 if biased else 1.0) for i in range(4)])
    assert found.broken == (("coverage",) if biased else ())


def test_shortcuts_are_tried_alone_and_together():
    plan = Plan(norm_silu=True, settings={"balanced": {"krylov": 2}})
    assert list(shortcuts(plan, "balanced")) == ["norm_silu", "settings", "all"]
    assert shortcuts(plan, "balanced")["settings"] == Plan(settings=plan.settings)
    assert list(shortcuts(plan, "fast")) == ["norm_silu"]


def test_a_model_with_a_plan_can_be_copied_and_sent():
    """Averaging of weights copies a model; workers get one by pickle."""
    plan = Plan.from_card({"norm_silu": True, "settings": {"fast": {"steps": 3}}})
    for known in (NO_PLAN, plan):
        assert copy.deepcopy(known) == known
        assert pickle.loads(pickle.dumps(known)) == known

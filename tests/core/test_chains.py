"""Training in chains: what each evaluation is shown, and what its error counts."""

from __future__ import annotations

import pytest
import torch
from support import F64, randn
from torch import Tensor, nn

from sciddm.denoiser import NetworkDenoiser
from sciddm.physics import Identity, Measurement
from sciddm.process import EDM, VPCosine
from sciddm.training.chains import Chains, chain_loss

ERRORS = (0.4, 0.2, 0.1)
NOISE = 0.3


class Peeking(nn.Module):
    """Returns half of its condition, and remembers it."""

    noise_level = "log_sigma"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x, level, cond=None):
        self.seen.append((level, cond))
        return cond / 2


def denoiser(process=None) -> NetworkDenoiser:
    return NetworkDenoiser(Peeking(), process or EDM(), "x0", estimate_errors=ERRORS)


def measure(batch: dict[str, Tensor]) -> Measurement:
    return Measurement(batch["y"], Identity(3), NOISE)


def batch(n: int, seed: int) -> dict[str, Tensor]:
    x0 = randn(n, 1, 32, 32, seed=seed)
    return {
        "place": torch.arange(n) + 100 * seed,
        "x0": x0,
        "y": x0 + NOISE * randn(*x0.shape, seed=seed + 1),
        "start": x0 + 0.5 * randn(*x0.shape, seed=seed + 2),
    }


def large(times: int) -> dict[str, Tensor]:
    return {k: v if v.ndim == 1 else v.repeat(1, 1, times, times) for k, v in batch(1, 3).items()}


def chains(model: NetworkDenoiser, sigma: float = 0.25) -> Chains:
    return Chains(model, lambda draws: model.process.times(torch.full_like(draws.uniform(), sigma)))


def found_from(estimate: Tensor, y: Tensor, sigma: float, error: float) -> Tensor:
    """(y / NOISE^2 + D / r^2) / (1 / NOISE^2 + 1 / r^2) with D = c / 2."""
    weight = 1 / sigma**2 + 1 / error**2
    return (y / NOISE**2 + weight * estimate / 2) / (1 / NOISE**2 + weight)


def test_the_loss_is_the_distance_from_the_image_once_the_data_are_in():
    b = batch(2, seed=1)
    t = torch.tensor([0.05, 2.0], dtype=F64)
    error = torch.tensor([0.4, 0.1], dtype=F64)
    x = b["x0"] + t.view(2, 1, 1, 1) * randn(*b["x0"].shape, seed=5)
    found, loss = chain_loss(denoiser(), measure(b), b["x0"], x, t, b["start"], error)
    for i in range(2):
        expected = found_from(b["start"][i], b["y"][i], float(t[i]), float(error[i]))
        assert torch.allclose(found[i], expected, atol=1e-8)
        distance = (expected - b["x0"][i]).abs().mean()
        assert float(loss[i]) == pytest.approx(float(distance), rel=1e-3)


def test_every_item_is_shown_what_was_found_of_it_before():
    """Three rounds at t_max with their errors, then falling levels with the last one."""
    torch.manual_seed(0)
    model = denoiser()
    line = chains(model)
    for seed in range(0, 60, 10):  # until the first of them has left
        losses = line.step(model, measure, batch(2, seed))
        assert len(losses) == 2 * 5
    # Batches enter last: the one of seed 0 stands at the front in the last step.
    shown = [cond for _, cond in model.network.seen]
    b = batch(2, 10)
    estimate = b["start"]
    assert torch.equal(shown[1][-2:], estimate)
    for step, error in zip(range(2, 4), ERRORS, strict=False):
        estimate = found_from(estimate, b["y"], model.process.sigma_max, error)
        assert torch.allclose(shown[step][-2 * step : -2 * step + 2], estimate, atol=1e-6)


def test_states_are_of_the_image_at_falling_levels():
    """After the rounds x_t is the image plus white noise of its level, each level below the last,
    and both of one path: Cov(x_t - x0, x_t' - x0) = sigma'^2."""
    for process in (EDM(), VPCosine()):
        torch.manual_seed(1)
        model = denoiser(process)
        line = chains(model)
        line.step(model, measure, large(4))
        states = {}
        for _ in range(5):
            items = line.items
            assert items is not None
            for i, done in enumerate(items["done"].tolist()):
                a = process(items["t"][i : i + 1])[0]
                noise = items["x"][i] / a - items["x0"][i]
                states.setdefault(done, []).append((float(process.sigma(items["t"][i])), noise))
            line.step(model, measure, large(4))
        for done, found in states.items():
            for sigma, noise in found:
                if done < len(ERRORS):
                    assert sigma == pytest.approx(float(process.sigma(process.t_max)), rel=1e-3)
                if done == len(ERRORS):
                    assert sigma == pytest.approx(0.25, rel=1e-3)
                if done > len(ERRORS):
                    assert 0.25 / 5 < sigma < 0.25
                assert float(noise.square().mean()) == pytest.approx(sigma**2, rel=0.05)


def test_the_next_state_is_of_the_same_path():
    torch.manual_seed(2)
    model = denoiser()
    line = chains(model)
    big = large(8)
    line.step(model, measure, big)
    before = line.items
    line.step(model, measure, big)
    after = line.items
    assert before is not None
    assert after is not None
    (i,) = torch.nonzero(before["done"] == 3).flatten().tolist()
    (j,) = torch.nonzero(after["done"] == 4).flatten().tolist()
    noisy, less = (s["x"][k] - s["x0"][k] for s, k in ((before, i), (after, j)))
    sigma = float(after["t"][j])
    assert float((noisy * less).mean()) == pytest.approx(sigma**2, rel=0.1)


def test_the_first_step_has_items_at_every_place():
    torch.manual_seed(3)
    model = denoiser()
    line = chains(model)
    assert len(line.step(model, measure, batch(2, 1))) == 10
    assert line.items is not None
    assert line.items["done"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    levels, _ = model.network.seen[0]
    r = levels.exp()
    for k, error in enumerate(ERRORS):
        assert torch.allclose(r[2 * k : 2 * k + 2], torch.tensor(error), rtol=1e-3)


def test_validation_takes_the_items_through_all_of_their_own_chain():
    torch.manual_seed(4)
    model = denoiser()
    b = batch(3, 1)
    loss = chains(model).through(model, measure, b)
    estimate, expected = b["start"], torch.zeros(3, dtype=F64)
    seen = model.network.seen
    for k in range(5):
        level, cond = seen[k]
        assert torch.allclose(cond, estimate, atol=1e-6)
        weight = (level.double().exp() ** -2).view(3, 1, 1, 1)
        estimate = (b["y"] / NOISE**2 + weight * estimate / 2) / (1 / NOISE**2 + weight)
        expected += (estimate - b["x0"]).abs().flatten(1).mean(1) / 5
    assert torch.allclose(loss, expected, rtol=1e-3)

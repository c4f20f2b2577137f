"""Priors from measurements alone: draws have the prior's law, whose covariance is the truth's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support import F64
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.oracles import GaussianDenoiser
from sciddm.physics import CartesianMRI, Measurement
from sciddm.physics.basic import Mask, Matrix
from sciddm.physics.fourier import fft2c
from sciddm.priors.radial_gaussian import RadialGaussian, radial_power
from sciddm.process import EDM
from sciddm.training import load_recipe, train
from sciddm.training.expectation import Draws, batches, gaussian_prior, mmps_draws, write_draws
from sciddm.zoo import from_pretrained

SIGMA, N, SIZE = 0.05, 1500, 5
PROCESS = EDM(sigma_min=0.005, sigma_max=10.0)


def truth() -> Tensor:
    """Neighbours are correlated; powers differ."""
    place = torch.arange(SIZE, dtype=F64)
    std = 0.6 + 0.2 * place
    return std[:, None] * 0.8 ** (place[:, None] - place).abs() * std


def masked(covariance: Tensor, share: float = 0.5) -> Measurement:
    """N vectors, of which each shows a random part of its entries."""
    generator = torch.Generator().manual_seed(1)
    root = torch.linalg.cholesky(covariance)
    x = torch.randn(N, SIZE, dtype=F64, generator=generator) @ root.T
    mask = torch.rand(N, SIZE, generator=generator) < share
    noise = SIGMA * torch.randn(N, SIZE, dtype=F64, generator=generator)
    return Measurement(mask * (x + noise), Mask(mask, ndim=1), SIGMA)


def drawn(m: Measurement, covariance: Tensor, seed: int) -> Tensor:
    prior = GaussianDenoiser(PROCESS, torch.zeros(SIZE, dtype=F64), covariance)
    return mmps_draws(prior, m, range(N), seed=seed, steps=16, krylov=SIZE)


def means(m: Measurement, covariance: Tensor, seed: int) -> Tensor:
    """Posterior means in place of draws."""
    mask = m.A(torch.ones_like(m.y))
    system = mask[:, :, None] * covariance * mask[:, None, :] + torch.diag_embed(
        SIGMA**2 * mask + (1 - mask)
    )
    return (mask * torch.linalg.solve(system, m.y)) @ covariance


def moments(x: Tensor) -> Tensor:
    return x.T @ x / len(x)


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_the_true_covariance_is_the_fixed_point_of_draws_and_not_of_means() -> None:
    m = masked(truth())
    assert distance(moments(drawn(m, truth(), 0)), truth()) < 0.05
    shrunk = moments(means(m, truth(), 0))
    assert float(shrunk.trace() / truth().trace()) < 0.9
    assert distance(shrunk, truth()) > 0.1


def test_rounds_find_the_covariance_and_means_lose_it() -> None:
    m = masked(truth())
    start = torch.eye(SIZE, dtype=F64)
    by_draws, by_means = start, start
    for number in range(8):
        by_draws = moments(drawn(m, by_draws, number))
        by_means = moments(means(m, by_means, number)) + 1e-9 * start
    assert distance(by_draws, truth()) < 0.1
    smallest = [float(torch.linalg.eigvalsh(c)[0]) for c in (by_draws, by_means, truth())]
    assert smallest[0] > 0.4 * smallest[2]
    assert smallest[1] < 0.1 * smallest[2]  # what no measurement shows is lost


# The Gaussian prior that rounds begin with --------------------------------------------------------

PROFILE = torch.linspace(0, 3, 24, dtype=F64).neg().exp()


def circulant(n: int, prior: RadialGaussian) -> Tensor:
    eye = torch.eye(n, dtype=F64)
    return torch.stack([prior.covariance(row[None])[0] for row in eye])


def test_the_radial_prior_is_the_gaussian_of_its_covariance() -> None:
    n = 12
    prior = RadialGaussian(PROCESS, PROFILE, ndim=1)
    covariance = circulant(n, prior)
    exact = GaussianDenoiser(PROCESS, torch.zeros(n, dtype=F64), covariance)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, n, dtype=F64, generator=generator)
    for t in (0.1, 1.0, 5.0):
        torch.testing.assert_close(prior(x, t), exact(x, t), atol=1e-5, rtol=1e-4)
    H = torch.randn(5, n, dtype=F64, generator=generator)
    y = torch.randn(5, dtype=F64, generator=generator)
    m = Measurement(y.expand(4000, 5), Matrix(H), 0.3)

    def randn(like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator)

    draws = prior.posterior_draw(m, torch.zeros(4000, n, dtype=F64), randn)
    mean, cov = exact.posterior(y, H, 0.09 * torch.eye(5, dtype=F64)).moments()
    assert float((draws.mean(0) - mean).abs().max()) < 5 * float(covariance.max() / 4000) ** 0.5
    assert distance(torch.cov(draws.T), cov) < 0.1


def test_the_spectrum_of_images_of_any_size() -> None:
    prior = RadialGaussian(PROCESS, PROFILE)
    generator = torch.Generator().manual_seed(0)
    images = []
    for shape in ((64, 64), (48, 80)):
        white = torch.randn(60, 1, *shape, dtype=torch.complex64, generator=generator)
        images.append(prior._filtered(white, prior.power(shape).sqrt()))
    profile = radial_power(images)
    assert float((profile / PROFILE).log().abs().max()) < 0.35  # between its points it is a mean
    assert distance(profile, PROFILE) < 0.05


class Half(Dataset[Any]):
    """Complex images of a known spectrum, half of whose Fourier lines are measured."""

    def __init__(self, split: str = "train", seed: int = 0) -> None:
        prior = RadialGaussian(PROCESS, PROFILE)
        generator = torch.Generator().manual_seed(seed + (split == "validate"))
        count = 48 if split == "train" else 8
        white = torch.randn(count, 1, 16, 16, dtype=torch.complex64, generator=generator)
        x = prior._filtered(white, prior.power((16, 16)).sqrt())
        self.mask = (torch.rand(count, 1, 16, 1, generator=generator) < 0.5).expand(-1, -1, 16, 16)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        self.y = self.mask * (fft2c(x) + SIGMA * noise)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"y": self.y[index], "mask": self.mask[index]}

    @staticmethod
    def measurement(batch: dict[str, Tensor]) -> Measurement:
        return Measurement(batch["y"], CartesianMRI(batch["mask"]), SIGMA)


def test_the_first_prior_is_learned_from_half_of_k_space() -> None:
    prior = gaussian_prior(Half(), Half.measurement, PROCESS, rounds=12, size=48)
    assert distance(prior.profile, PROFILE) < 0.15


RECIPE: dict[str, Any] = {
    "name": "measured",
    "summary": "From measurements.",
    "process": {"name": "EDM", "sigma_min": 0.01, "sigma_max": 10.0},
    "network": {
        "name": "UNet",
        "in_channels": 2,
        "out_channels": 2,
        "channels": [4, 8],
        "num_res_blocks": 1,
        "norm_num_groups": 2,
    },
    "denoiser": {"parametrization": "edm", "data_std": 0.5, "complex_data": True},
    "data": {"dataset": f"{__name__}.Half"},
    "expectation": {
        "rounds": 2, "gaussian_rounds": 2, "draw_steps": 4, "batch_size": 24, "patch": 8,
        "mirror": [-1],
    },
    "optimisation": {"batch_size": 8, "steps": 8, "warmup_steps": 2, "precision": "32"},
}  # fmt: skip


def test_a_recipe_of_measurements_is_trained_in_rounds_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    out = tmp_path / "run"
    folder = train(load_recipe(path), out, progress=False)
    assert folder == out / "model"
    model = from_pretrained(folder)
    assert model.card.training["rounds"] == 2
    assert model.card.training["measurements"] == 48
    assert model.card.training["steps"] == 8
    first = Draws(str(out / "round-01" / "draws"))
    assert len(first) == 48
    assert first.images[0].shape == (1, 16, 16)
    second = (out / "round-02" / "draws" / "train-000000.safetensors").read_bytes()

    # A round that was lost is done again, from the draws that are there.
    shutil.rmtree(out / "round-02" / "model")
    shutil.rmtree(out / "round-02" / "checkpoints")
    shutil.rmtree(out / "model")
    (out / "round-02" / "draws" / "train-000000.safetensors").unlink()
    (out / "round-02" / "draws.json").unlink()
    again = from_pretrained(train(load_recipe(path), out, progress=False))
    assert again.weights_sha256 == model.weights_sha256
    assert (out / "round-02" / "draws" / "train-000000.safetensors").read_bytes() == second


def test_crops_and_mirrors_of_draws(tmp_path: Path) -> None:
    ramp = torch.arange(16.0).expand(1, 16, 16)

    class One(Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"y": ramp}

    def measure(batch: dict[str, Tensor]) -> Measurement:
        return Measurement(batch["y"], Mask(torch.ones(1, 16, 16)), 1.0)

    write_draws(One(), measure, lambda m, numbers: m.y, tmp_path, "train", 1)
    torch.manual_seed(0)
    items = Draws(str(tmp_path), patch=6, mirror=[-1])
    seen = {
        (float(x[0, 0, 0]), bool(x[0, 0, 0] > x[0, 0, 1])) for x in (items[0] for _ in range(80))
    }
    assert {mirrored for _, mirrored in seen} == {True, False}
    assert len({first for first, mirrored in seen if not mirrored}) > 5
    with pytest.raises(InputError, match="patch 32"):
        Draws(str(tmp_path), patch=32)[0]
    with pytest.raises(InputError, match="no draws"):
        Draws(str(tmp_path), "validate")


def test_batches_hold_one_shape() -> None:
    class Mixed(Dataset[Any]):
        def __len__(self) -> int:
            return 7

        def __getitem__(self, index: int) -> dict[str, Tensor]:
            return {"y": torch.zeros(2 if index in (3, 4) else 3)}

    orders = [numbers for numbers, _ in batches(Mixed(), 2)]
    assert orders == [[0, 1], [2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("data.dataset", "torch.utils.data.TensorDataset", "expectation needs measurements"),
        ("denoiser.estimate_errors", "[0.1]", "expectation trains a denoiser alone"),
    ],
)
def test_what_cannot_be_trained_in_rounds(tmp_path: Path, key: str, value: str, says: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    with pytest.raises(InputError, match=says):
        load_recipe(path, [f"{key}={value}"])

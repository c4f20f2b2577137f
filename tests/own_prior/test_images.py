"""A prior from nothing on a folder of pictures, and an operator of one's own: the guide's page."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from cli_helpers import Sciddm
from own_pictures import picture, write_pictures

import sciddm as package
from sciddm.errors import InputError
from sciddm.physics import FunctionOperator
from sciddm.pipelines.own_prior import images
from sciddm.pipelines.own_prior.image_folder import ImageFolder

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-prior.md"
#: As much training as fits into a test, whatever the machine does beside it.
SHORT = [
    "optimisation.steps=320",
    "optimisation.batch_size=16",
    "optimisation.lr=4e-3",
    "optimisation.ema_decay=0.97",
    "optimisation.warmup_steps=20",
    "network.channels=[16,32,48]",
    "network.blocks=[1,1,2]",
    "network.patch=2",
    "data.arguments.length=1280",
]


def block(language: str, mark: str) -> str:
    """The guide's block that holds a mark."""
    found = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [text for text in found if mark in text]
    return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guide's command was run: ``discs`` and ``runs/discs``."""
    from typer.testing import CliRunner

    from sciddm.pipelines.cli import app

    root = tmp_path_factory.mktemp("guide")
    write_pictures(root / "discs", 240)
    words = shlex.split(block("sh", "--data discs"))[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(images, "_IMAGES", 4)
        answer = CliRunner().invoke(app, [*words, "--licence", "CC0", *SHORT])
    assert answer.exit_code == 0, answer.output
    return root


def problem() -> tuple[FunctionOperator, torch.Tensor, torch.Tensor, float]:
    """The guide's operator on pictures that no run has seen: A, truth, y, sigma."""
    rng = np.random.default_rng(99)
    truth = torch.from_numpy(np.stack([picture(rng) for _ in range(8)])[:, None]).float()
    kernel = torch.ones(1, 1, 3, 3) / 9
    blur = FunctionOperator(lambda x: torch.conv2d(x, kernel)[..., ::2, ::2], (1, 32, 32))
    sigma, generator = 0.02, torch.Generator().manual_seed(0)
    clean = blur(truth)
    return blur, truth, clean + sigma * torch.randn(clean.shape, generator=generator), sigma


def test_the_posterior_beats_the_best_linear_estimate_and_its_intervals_hold(folder):
    blur, truth, y, sigma = problem()
    # The linear estimate of least mean square error, with mean and covariance of the training
    # images: the exact posterior of the Gaussian law that agrees with them in both.
    train = torch.stack(list(ImageFolder(folder / "discs")))[:, 0].flatten(1).double()
    mean, centred = train.mean(0), train - train.mean(0)
    covariance = centred.T @ centred / len(train) + 1e-4 * torch.eye(32 * 32).double()
    matrix = blur(torch.eye(32 * 32).reshape(-1, 1, 32, 32)).flatten(1).T.double()
    data = y.flatten(1).double()
    gain = covariance @ matrix.T
    inner = matrix @ gain + sigma**2 * torch.eye(len(matrix)).double()
    linear = (mean + (gain @ torch.linalg.solve(inner, (data - mean @ matrix.T).T)).T).float()
    pseudo = (torch.linalg.pinv(matrix) @ data.T).T.float()

    posterior = package.sample_posterior(
        y, blur, package.load(folder / "runs/discs/model"), sigma, samples=8, steps=12, seed=1
    )

    def decibels(estimate: torch.Tensor) -> float:
        return -10 * math.log10(float((estimate.reshape(truth.shape) - truth).square().mean()))

    assert decibels(posterior.mean) > decibels(pseudo) + 6
    assert decibels(posterior.mean) > decibels(linear) + 1.5
    assert 0.8 < posterior.coverage(truth, 0.9) < 0.98
    assert posterior.familiar.answer == "yes"


def test_the_guides_snippet_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(block("python", "ImageFolder"), str(GUIDE), "exec"), {})
    assert capsys.readouterr().out.startswith("torch.Size([1, 1, 32, 32]) The image agrees")


def test_another_kind_of_image_is_unfamiliar(folder):
    blur, _truth, _, sigma = problem()
    stripes = 0.5 + 0.5 * torch.sin(torch.arange(32.0) * 2.0).expand(4, 1, 32, 32)
    model = package.load(folder / "runs/discs/model")
    posterior = package.sample_posterior(blur(stripes), blur, model, sigma, samples=2, steps=8)
    assert posterior.familiar.answer == "no"


def test_the_card_says_what_the_model_is_of(folder):
    card = json.loads((folder / "runs/discs/model/card.json").read_text())
    assert card["licence"] == "CC0"
    assert "train 168 of 168, validate 36 of 36, test 36 of 36" in card["split"]
    assert card["training"]["steps"] == 320
    assert set(card["metrics"]) == {"what", *card["coverage"]}
    assert all(0.75 < value < 1 for value in card["coverage"].values())
    # A second call has nothing to do: the same weights, the same card.
    before = (folder / "runs/discs/model/card.json").stat().st_mtime_ns
    split = json.loads((folder / "runs/discs/split.json").read_text())
    assert sum(split["counts"].values()) == 240
    assert (folder / "runs/discs/model/card.json").stat().st_mtime_ns == before


def test_units_of_pictures(tmp_path):
    values = np.array([[0, 128], [255, 51]])
    iio.imwrite(tmp_path / "a.png", values.astype(np.uint8))
    assert torch.equal(ImageFolder(tmp_path)[0], torch.tensor(values / 255)[None].float())
    iio.imwrite(tmp_path / "a.png", (257 * values).astype(np.uint16))
    assert torch.allclose(ImageFolder(tmp_path)[0], torch.tensor(values / 255)[None].float())
    np.save(tmp_path / "b.npy", np.full((3, 2, 2), -7.5))
    images = ImageFolder(tmp_path)
    assert len(images) == 4
    assert (images[3] == -7.5).all()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda root: None, "holds no files"),
        (
            lambda root: [
                iio.imwrite(root / f"{n}.png", np.zeros((n, 32), np.uint8)) for n in (32, 40)
            ],
            r"images of 32 x 32 \(32.png\) and 40 x 32 \(40.png\): crop or resample",
        ),
        (lambda root: write_pictures(root, 1), r"one file only \(img_0000.png\)"),
        (lambda root: write_pictures(root, 4, side=8), "images of 8 pixels"),
        (lambda root: (root / "cube.hdr").write_text("ENVI"), "--domain hsi reads"),
        (lambda root: np.save(root / "a.npy", np.zeros((4, 4), complex)), "not real numbers"),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_one_sentence(
    tmp_path: Path, sciddm: Sciddm, write: Any, message: str
):
    data = tmp_path / "data"
    data.mkdir()
    write(data)
    if (data / "a.npy").exists():
        np.save(data / "b.npy", np.ones((4, 4), complex))
    answer = sciddm("train", "--domain", "images", "--data", data, "-o", tmp_path / "run")
    assert answer.code == 2
    (line,) = answer.error_lines
    assert re.search(message, line), line


def test_options_that_need_a_folder(tmp_path: Path, sciddm: Sciddm):
    answer = sciddm("train", "mri-brain", "--from", "mri-brain")
    assert answer.code == 2
    assert "--data" in answer.err
    answer = sciddm("train", "--data", tmp_path)
    assert answer.code == 2
    assert "--domain" in answer.err
    answer = sciddm("train", "--domain", "xray", "--data", tmp_path)
    assert answer.code == 2
    assert "mri" in answer.err
    answer = sciddm("train")
    assert answer.code == 2
    assert "recipe" in answer.err
    with pytest.raises(InputError, match="holds no files"):
        ImageFolder(tmp_path)

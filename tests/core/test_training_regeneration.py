"""Training predictors and regenerations by recipe, one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError
from sciddm.models import build_model, network_of
from sciddm.priors.predictor import Predictor
from sciddm.priors.regeneration import StochasticRegeneration
from sciddm.training import load_recipe, train
from sciddm.training.run import build
from sciddm.zoo import from_pretrained, load_model

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
#: Trained on data that users have: not bundled, so of any size.
USERS_OWN = {"petct-hecktor"}


class Halves(Dataset):
    """The truth is half of what is seen: a mask of 1/2 for every bin."""

    representation = {"n_fft": 14, "hop": 4}  # noqa: RUF012

    def __init__(self, split: str, seed: int = 0, paired: bool = True) -> None:
        generator = torch.Generator().manual_seed(seed + (split == "validate"))
        self.y = torch.randn(32, 1, 8, 8, dtype=torch.complex64, generator=generator)
        self.paired = paired

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        y = self.y[index]
        return {"x0": 0.5 * y, "y": y} if self.paired else {"x0": 0.5 * y}


UNET = {
    "name": "SpectrogramUNet",
    "bins": 8,
    "channels": [4, 4],
    "blocks": [1],
    "dilations": [1],
    "squeeze": 2,
}
PREDICTOR = {
    "name": "halves-predictor",
    "summary": "Halves.",
    "predictor": {
        "network": {**UNET, "in_channels": 2, "out_channels": 4, "levels": False},
        "criterion": {"complex": 1.0, "magnitude": 0.0},
        "scale": 1.0,
    },
    "data": {"dataset": f"{__name__}.Halves"},
    "optimisation": {
        "lr": 2e-2,
        "batch_size": 8,
        "steps": 40,
        "warmup_steps": 2,
        "ema_decay": 0.9,
        "precision": "32",
    },
}
BRIDGE = {
    **PREDICTOR,
    "name": "halves",
    "process": {"name": "SBVE", "k": 2.6, "c": 0.1},
    "network": {**UNET, "in_channels": 4, "out_channels": 2, "cond_channels": 2},
    "denoiser": {
        "parametrization": "residual",
        "data_std": 1.0,
        "scale": 1.0,
        "complex_data": True,
    },
    "regeneration": {"alpha": 0.0, "target": "data"},
    "noise": {"law": "uniform"},
}


def write(path: Path, recipe: dict) -> Path:
    # Through JSON, so that what occurs twice is written twice: aliases are refused.
    path.write_text(yaml.safe_dump(json.loads(json.dumps(recipe))))
    return path


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("predictor")
    recipe = load_recipe(write(folder / "recipe.yaml", PREDICTOR))
    return train(recipe, folder / "run", progress=False)


def test_a_predictor_learns(predictor):
    loaded = from_pretrained(predictor)
    assert isinstance(loaded.model, Predictor)
    assert loaded.representation == Halves.representation
    # Its criterion is told the scale of the data that the recipe gives once.
    assert loaded.model.criterion.scale == loaded.model.scale == 1.0
    card = json.loads((predictor / "card.json").read_text())
    # E|y/2|^2 = 1/4 for a predictor that says nothing.
    assert card["training"]["validation_loss"] < 0.05
    loaded.model.precision = "float32"
    y = Halves("validate").y[:4]
    with torch.no_grad():
        assert (loaded.model(y) - 0.5 * y).abs().square().mean() < 0.05


def test_a_bridge_begins_with_the_trained_predictor_and_leaves_it(predictor, tmp_path):
    path = write(tmp_path / "recipe.yaml", {**BRIDGE, "start_from": str(predictor)})
    recipe = load_recipe(path, ["optimisation.steps=6"])
    start = load_model(predictor).network.state_dict()
    begun = build(recipe)
    assert isinstance(begun, StochasticRegeneration)
    untrained = begun.denoiser.network.state_dict()

    finished = load_model(train(recipe, tmp_path / "run", progress=False))
    for name, value in finished.predictor.network.state_dict().items():
        assert torch.equal(value, start[name])
    changed = finished.denoiser.network.state_dict()
    assert any(not torch.equal(value, untrained[name]) for name, value in changed.items())

    # Joint training, as published, moves the predictor as well.
    joint = load_recipe(path, ["optimisation.steps=6", "regeneration.alpha=0.5"])
    moved = load_model(train(joint, tmp_path / "joint", progress=False))
    weights = moved.predictor.network.state_dict()
    assert any(not torch.equal(value, start[name]) for name, value in weights.items())


def test_a_start_of_another_kind(predictor, tmp_path):
    other = {k: v for k, v in BRIDGE.items() if k not in ("predictor", "regeneration")}
    recipe = load_recipe(write(tmp_path / "r.yaml", {**other, "start_from": str(predictor)}))
    with pytest.raises(InputError, match="do not fit"):
        build(recipe)


def test_data_without_pairs(tmp_path):
    recipe = load_recipe(write(tmp_path / "r.yaml", PREDICTOR), ["data.arguments.paired=false"])
    with pytest.raises(InputError, match="a Predictor is trained with y"):
        train(recipe, tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("predictor.network.chanels=[4]", "predictor.network: unknown key chanels"),
        ("predictor.criterion.sharpness=1", "unknown key predictor.criterion.sharpness"),
        ("predictor.output=both", "predictor.output"),
        ("regeneration.alpha=1", "regeneration.alpha"),
        ("process=null", "missing key process"),
        ("predictor=null", "regeneration needs a predictor"),
    ],
)
def test_a_wrong_recipe_names_the_key(tmp_path, override, says):
    with pytest.raises(InputError, match=says):
        load_recipe(write(tmp_path / "recipe.yaml", BRIDGE), [override])


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_models_of_our_recipes_can_be_bundled(path):
    """Complete, their model buildable, and in fp16 not above 16 MB unless the data are a user's."""
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.card["recipe"] == f"recipes/{path.name}"
    assert {"data", "licence", "split", "limits"} <= set(recipe.card)
    model = build_model(recipe.sections())
    size = sum(2 * value.numel() for value in network_of(model).state_dict().values())
    assert size < 16e6 or recipe.name in USERS_OWN

"""Training a tiny recipe on synthetic images: learning, resuming, stopping, exporting."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import yaml
from support import TINY_RECIPE
from torch.utils.data import Dataset

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.process import EDM, RectifiedFlow, VPLinear
from sciddm.training import load_recipe, train
from sciddm.training.module import TrainingModule, draw_times
from sciddm.training.recipe import NoiseSpec, Optimisation
from sciddm.training.run import _precision, build
from sciddm.zoo import load_model


class Levels(Dataset):
    """Images that are constant: a network that averages denoises them."""

    served: ClassVar[int] = 0  # training items handed out

    def __init__(self, split: str, seed: int = 0, spread: float = 1.0, length: int = 32) -> None:
        generator = torch.Generator().manual_seed(seed + (split == "validate"))
        self.levels = spread * torch.randn(length, generator=generator)
        self.split = split

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, index: int) -> torch.Tensor:
        Levels.served += self.split == "train"
        return self.levels[index].expand(1, 8, 8).clone()


RECIPE = {
    "name": "levels",
    "summary": "Constant images.",
    **TINY_RECIPE,
    "noise": {"mean": 0.0, "std": 0.5},
    "data": {"dataset": f"{__name__}.Levels", "arguments": {"spread": 1.0}},
    "optimisation": {
        "lr": 1e-2,
        "batch_size": 8,
        "steps": 24,
        "warmup_steps": 2,
        "ema_decay": 0.9,
        "precision": "32",
    },
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "recipe.yaml"
    target.write_text(yaml.safe_dump(RECIPE))
    return target


def validation_losses(out: Path) -> list[float]:
    with (out / "metrics.csv").open() as file:
        return [float(row["val_loss"]) for row in csv.DictReader(file) if row.get("val_loss")]


def test_training_learns_and_exports_the_average(path, tmp_path):
    recipe, out = load_recipe(path), tmp_path / "run"
    folder = train(recipe, out, progress=False)
    losses = validation_losses(out)
    # EDM's target has unit power, so a network that says nothing has a loss near 1.
    assert losses[-1] < 0.65 * losses[0]

    card = json.loads((folder / "card.json").read_text())
    assert (card["name"], card["training"]["steps"]) == ("levels", 24)
    assert card["training"]["validation_loss"] == pytest.approx(losses[-1], rel=1e-5)

    # What is exported is the moving average, in half precision.
    checkpoint = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    averaged = build(recipe)
    prefix = "ema.module.network."
    state = {
        k.removeprefix(prefix): v
        for k, v in checkpoint["state_dict"].items()
        if k.startswith(prefix)
    }
    averaged.network.load_state_dict(state)
    loaded = load_model(folder)
    loaded.precision = "float32"
    x, t = torch.randn(2, 1, 8, 8), 0.8
    with torch.no_grad():
        expected = averaged.eval()(x, t)
        assert torch.allclose(loaded(x, t), expected, atol=5e-3)
        last = build(recipe)
        last.network.load_state_dict(
            {
                k.removeprefix("model.network."): v
                for k, v in checkpoint["state_dict"].items()
                if k.startswith("model.network.")
            }
        )
        assert (last.eval()(x, t) - expected).abs().max() > 0.01  # the last weights are others


def test_patience_ends_a_training_that_gets_worse_with_the_best_weights(path, tmp_path):
    # Steps of this length destroy the network: its first weights stay the best ones.
    overrides = ["optimisation.lr=1.0", "optimisation.steps=200", "optimisation.patience=2"]
    recipe, out = load_recipe(path, overrides), tmp_path / "run"
    folder = train(recipe, out, progress=False)
    card = json.loads((folder / "card.json").read_text())
    assert card["training"]["steps"] == 2 * 4  # two validations of four steps each
    losses = validation_losses(out)
    assert min(losses[1:]) > 1.2 * card["training"]["validation_loss"]
    first = build(recipe).network.state_dict()
    for name, value in load_model(folder).network.state_dict().items():
        assert torch.allclose(value, first[name], atol=2e-3), name


def test_patience_survives_an_interruption(path, tmp_path):
    overrides = ["optimisation.lr=1.0", "optimisation.patience=3"]
    out = tmp_path / "run"
    train(load_recipe(path, [*overrides, "optimisation.steps=6"]), out, progress=False)
    folder = train(load_recipe(path, [*overrides, "optimisation.steps=200"]), out, progress=False)
    training = json.loads((folder / "card.json").read_text())["training"]
    assert training["steps"] < 20  # not three more validations of its own, nor two hundred steps
    first = build(load_recipe(path, overrides)).network.state_dict()
    for name, value in load_model(folder).network.state_dict().items():
        assert torch.allclose(value, first[name], atol=2e-3), name


def test_resuming_continues_where_it_stopped(path, tmp_path):
    out = tmp_path / "run"
    Levels.served = 0
    train(load_recipe(path, ["optimisation.steps=5"]), out, progress=False)
    assert Levels.served >= 5 * 8
    first = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    assert first["global_step"] == 5

    # Nothing is left to do: the weights stay.
    again = train(load_recipe(path, ["optimisation.steps=5"]), out, progress=False)
    second = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    assert second["global_step"] == 5
    for name, value in first["state_dict"].items():
        assert torch.equal(second["state_dict"][name], value)
    assert second["elapsed_seconds"] >= first["elapsed_seconds"]

    folder = train(load_recipe(path, ["optimisation.steps=8"]), out, progress=False)
    third = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    assert third["global_step"] == 8
    assert int(third["state_dict"]["ema.n_averaged"]) == 8  # the average went on, too
    assert third["optimizer_states"][0]["state"][0]["step"] == 8
    assert folder == again

    train(load_recipe(path, ["optimisation.steps=2"]), out, resume=False, progress=False)
    fresh = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    assert fresh["global_step"] == 2


def test_the_seed_decides_the_weights(path, tmp_path):
    def weights(name: str, seed: int) -> dict[str, torch.Tensor]:
        recipe = load_recipe(path, ["optimisation.steps=2", f"optimisation.seed={seed}"])
        return load_model(train(recipe, tmp_path / name, progress=False)).state_dict()

    one, same, other = weights("a", 3), weights("b", 3), weights("c", 4)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not all(torch.equal(one[k], other[k]) for k in one)


def test_training_can_start_from_a_trained_model(path, tmp_path):
    trained = train(load_recipe(path), tmp_path / "first", progress=False)
    recipe = load_recipe(path, [f"start_from={trained}"])
    started = build(recipe).network.state_dict()
    for name, value in load_model(trained).network.state_dict().items():
        assert torch.equal(started[name], value)
    fresh = build(load_recipe(path)).network.state_dict()
    assert any(not torch.equal(fresh[name], value) for name, value in started.items())

    other = load_recipe(path, [f"start_from={trained}", "network.channels=[8, 8]"])
    with pytest.raises(InputError, match="do not fit"):
        build(other)


class Clock:
    """A second passes with every look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_max_time_stops_training_over_all_its_runs(path, tmp_path, monkeypatch):
    monkeypatch.setattr("sciddm.training.module.time", Clock())
    out, recipe = tmp_path / "run", load_recipe(path, ["optimisation.steps=100000"])
    folder = train(recipe, out, max_time="00:00:20", progress=False)
    steps = json.loads((folder / "card.json").read_text())["training"]["steps"]
    assert 3 <= steps <= 20
    checkpoint = torch.load(out / "checkpoints" / "last.ckpt", weights_only=False)
    assert checkpoint["elapsed_seconds"] >= 20
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] < 1e-3  # its decay is done
    folder = train(recipe, out, max_time="00:00:20", progress=False)
    more = json.loads((folder / "card.json").read_text())["training"]["steps"]
    assert more <= steps + 1  # the time of the first run counts


@pytest.mark.parametrize("text", ["20", "1:2", "a:b:c", "00:00:00", "1:00:00:00"])
def test_bad_max_time(path, tmp_path, text):
    with pytest.raises(InputError, match="max_time"):
        train(load_recipe(path), tmp_path / "run", max_time=text, progress=False)


# Recipes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optimisation.learning_rate=1", "unknown key optimisation.learning_rate"),
        ("colour=red", "unknown key colour"),
        ("noise.sigma=1", "unknown key noise.sigma"),
        ("denoiser.sigma_data=1", "unknown key denoiser.sigma_data"),
        ("process.theta=1", "process: unknown key theta; EDM takes: sigma_min, sigma_max"),
        ("process.name=Nothing", "unknown process 'Nothing'"),
        ("network.chanels=[4]", "network: unknown key chanels"),
        ("data.arguments.size=4", "unknown key size"),
        ("data.dataset=nowhere.Nothing", "no dataset class 'nowhere.Nothing'"),
        ("optimisation.lr=-1", "optimisation.lr"),
        ("optimisation.precision=64", "optimisation.precision"),
        ("denoiser.parametrization=w", "denoiser.parametrization"),
        ("name=My Model", "name"),
        ("optimisation", "key=value"),
        ("name.first=1", "name has no keys"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_the_key(path, override, says):
    with pytest.raises(InputError) as caught:
        load_recipe(path, [override])
    message = str(caught.value)
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name: [", "not valid YAML"),
        (b"- 1\n- 2\n", "a recipe is a mapping"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"name: x\n", "summary"),
        (b"[" * 5000, "not valid YAML"),
        (b"name: &a [x]\ndata: [*a, *a]\n", "aliases are not permitted"),
        (b"name: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, says):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "missing.yaml")


def test_overrides_are_typed(path):
    recipe = load_recipe(path, ["optimisation.lr=1e-4", "process.sigma_max=5", "noise.std=2"])
    assert recipe.optimisation.lr == 1e-4
    assert build(recipe).process.t_max == 5.0
    assert recipe.noise.std == 2.0


# Parts ------------------------------------------------------------------------------------------


def denoiser(process) -> NetworkDenoiser:
    return NetworkDenoiser(torch.nn.Linear(1, 1, bias=False), process)


@pytest.mark.parametrize("process", [EDM(), VPLinear()], ids=lambda p: type(p).__name__)
def test_lognormal_times(process):
    torch.manual_seed(0)
    n = 2000
    t = draw_times(process, NoiseSpec(law="lognormal", mean=-0.8, std=0.6), n)
    level = process.sigma(t).log()
    assert float(level.mean()) == pytest.approx(-0.8, abs=4 * 0.6 / math.sqrt(n))
    assert float(level.std()) == pytest.approx(0.6, rel=4 / math.sqrt(2 * n))
    wide = draw_times(process, NoiseSpec(mean=0.0, std=50.0), 300)
    assert wide.min() == process.t_min
    assert wide.max() == pytest.approx(process.t_max)


def test_uniform_times():
    torch.manual_seed(0)
    n, process = 4000, RectifiedFlow()
    t = draw_times(process, NoiseSpec(law="uniform"), n)
    width = process.t_max - process.t_min
    assert float(t.mean()) == pytest.approx(
        process.t_min + width / 2, abs=4 * width / math.sqrt(12 * n)
    )
    assert process.t_min <= t.min()
    assert t.max() <= process.t_max


def test_a_share_of_the_times_is_where_samplers_begin():
    torch.manual_seed(0)
    n, process = 4000, RectifiedFlow()
    t = draw_times(process, NoiseSpec(law="uniform", start=0.3), n)
    share = float((t == process.t_max).double().mean())
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / n))
    rest = t[t < process.t_max]
    middle = (process.t_min + process.t_max) / 2
    assert float(rest.mean()) == pytest.approx(middle, abs=4 / math.sqrt(12 * len(rest)))


@pytest.mark.parametrize(("native", "wanted"), [("float32", "32"), ("bfloat16", "bf16-mixed")])
def test_precision_is_what_the_processor_has(monkeypatch, native, wanted):
    monkeypatch.setattr("sciddm.training.run.native_precision", lambda device: native)
    assert _precision("auto") == wanted
    assert _precision("16-mixed") == "16-mixed"


def module(max_seconds: float | None = None, **options) -> TrainingModule:
    return TrainingModule(denoiser(EDM()), NoiseSpec(), Optimisation(**options), max_seconds)


def test_moving_average_warms_up():
    m = module(ema_decay=0.5)
    weight = m.model.network.weight
    expected = None
    for n, value in enumerate([1.0, -2.0, 5.0, 3.0, 8.0]):
        torch.nn.init.constant_(weight, value)
        m.ema.update_parameters(m.model)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = value if n == 0 else decay * expected + (1 - decay) * value
        assert m.ema.module.network.weight.item() == pytest.approx(expected)


def test_learning_rate_follows_steps_or_time_whichever_is_further(monkeypatch):
    m = module(steps=100, warmup_steps=10)
    for step in (0, 4, 9, 10, 50, 99, 100):
        warm = min(1.0, (step + 1) / 10)
        expected = warm * 0.5 * (1 + math.cos(math.pi * step / 100))
        assert m._lr_factor(step) == pytest.approx(expected)
    timed = module(max_seconds=60.0, steps=100, warmup_steps=0)
    for elapsed, step, done in ((30.0, 10, 0.5), (6.0, 80, 0.8), (90.0, 10, 1.0)):
        monkeypatch.setattr(TrainingModule, "elapsed", elapsed)
        assert timed._lr_factor(step) == pytest.approx(0.5 * (1 + math.cos(math.pi * done)))

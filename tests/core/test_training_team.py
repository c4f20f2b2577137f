"""Several processes that train one model: the same curve, one writer, and what a loss costs."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support import TINY_RECIPE
from torch import Tensor

from sciddm.denoiser import NetworkDenoiser
from sciddm.errors import InputError
from sciddm.process import EDM
from sciddm.training import load_recipe, train
from sciddm.training.draws import ItemDraws
from sciddm.training.module import TrainingModule, training_loss
from sciddm.training.recipe import NoiseSpec, Optimisation
from sciddm.training.stream import Batches, Stream
from sciddm.training.team import Team, TeamError, joined
from sciddm.zoo import load_model

# Processes import it from their path.
ITEMS = '''
import os, signal
import torch
from torch.utils.data import Dataset

class Fields(Dataset):
    """Random smooth images; process 1 may kill itself, or ask all to stop, at one of them."""

    served = 0

    def __init__(self, split, seed=0, fatal=0, stop=0):
        self.split, self.fatal, self.stop = split, fatal, stop

    def __len__(self):
        return 40 if self.split == "train" else 7

    def __getitem__(self, index):
        Fields.served += self.split == "train"
        if self.split == "train" and os.environ.get("RANK") == "1":
            if Fields.served == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            if Fields.served == self.stop:
                os.kill(os.getppid(), signal.SIGINT)
        coarse = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(index))
        fine = torch.nn.functional.interpolate(coarse, (8, 8), mode="bicubic")[0]
        return fine + 0.1 * torch.randn(1, 8, 8) if self.split == "train" else fine
'''
STEPS = 50
RECIPE: dict[str, Any] = {
    "name": "fields",
    "summary": "Smooth images.",
    **TINY_RECIPE,
    "data": {"dataset": "items_of_a_team.Fields"},
    # Two processes share five items: 2 and 3.
    "optimisation": {"lr": 5e-3, "batch_size": 5, "steps": STEPS, "precision": "32"},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("team")
    (folder / "items_of_a_team.py").write_text(ITEMS)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    sys.path.insert(0, str(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield path
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def one(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("one")
    train(load_recipe(recipe), out, progress=False)
    return out


def curve(*logs: Path) -> list[tuple[int, str, float]]:
    rows = []
    for log in logs:
        with log.open() as file:
            for row in csv.DictReader(file):
                rows += [
                    (int(row["step"]), k, float(row[k])) for k in ("loss", "val_loss") if row[k]
                ]
    return rows


def assert_near(one: Path, other: Path) -> None:
    """The averaged weights, in half precision."""
    a, b = (load_model(folder / "model").state_dict() for folder in (one, other))
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 2e-3


def test_two_processes_have_the_curve_of_one(recipe: Path, one: Path, tmp_path: Path) -> None:
    """A signal to the command stops both; under torchrun they go on."""
    out = tmp_path / "two"
    stopped = load_recipe(recipe, ["data.arguments.stop=60"])
    with pytest.raises(KeyboardInterrupt):
        train(stopped, out, devices=2, progress=False)
    step = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 10 < step < STEPS
    assert not (out / "model").exists()
    assert not (out / ".sciddm").exists()

    words = ["--standalone", "--nproc-per-node=2", "-m", "sciddm.pipelines.cli", "train"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words, str(recipe), "-o", str(out)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole = {row[:2]: row[2] for row in curve(one / "metrics.csv")}
    both = curve(out / f"metrics-to-{step}.csv", out / "metrics.csv")
    assert {row[:2] for row in both} >= {(49, "loss"), (7, "val_loss"), (47, "val_loss")}
    for *place, value in both:
        if tuple(place) in whole:  # a row more at the stop
            assert value == pytest.approx(whole[tuple(place)], abs=1e-3)
    assert_near(one, out)
    names = {p.name for p in out.iterdir()}
    assert names == {"checkpoints", "metrics.csv", f"metrics-to-{step}.csv", "model"}
    assert '"processes": 2' in (out / "model" / "card.json").read_text()


def test_a_killed_process_ends_the_others_and_one_goes_on(
    recipe: Path, one: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed = load_recipe(
        recipe, ["optimisation.checkpoint_minutes=1e-9", "data.arguments.fatal=60"]
    )
    with pytest.raises(TeamError, match=r"process 2 of 2 was killed \(SIGKILL.*start the same"):
        train(killed, out, devices=2, progress=False)
    assert not (out / "model").exists()
    step = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 10 < step < 30
    train(load_recipe(recipe), out, progress=False)  # on one process
    assert_near(one, out)
    second = curve(out / "metrics.csv")
    first = [row for row in curve(one / "metrics.csv") if row[0] >= step]
    assert first[-1] == (STEPS - 1, "loss", pytest.approx(second[-1][2], abs=1e-3))


def test_parts_of_a_batch_make_the_batch() -> None:
    whole = Batches(Stream(7, 3, start=10), 5)
    for ranks in (1, 2, 3, 5):
        parts = [iter(Batches(Stream(7, 3, start=10), 5, rank, ranks)) for rank in range(ranks)]
        for batch, _ in zip(whole, range(6), strict=False):
            assert [item for part in parts for item in next(part)] == batch


def test_an_item_draws_the_same_whoever_has_it() -> None:
    like = torch.empty(5, 1, 4, 4, dtype=torch.complex64)
    together = ItemDraws(1, range(10, 15), "noise")
    law = NoiseSpec(start=0.1)
    times, noise = together.times(EDM(), law), together.noise(like)
    for place in range(5):
        alone = ItemDraws(1, [10 + place], "noise")
        assert torch.equal(alone.times(EDM(), law)[0], times[place])
        assert torch.equal(alone.noise(like[:1])[0], noise[place])
    assert len(set(times.tolist())) == 5
    other = ItemDraws(2, range(10, 15), "noise").times(EDM(), NoiseSpec())
    assert not torch.isclose(other, times).any()
    many = ItemDraws(0, range(2000)).noise(torch.empty(2000, 8))
    assert float(many.mean()) == pytest.approx(0, abs=0.03)
    assert float(many.std()) == pytest.approx(1, abs=0.03)


def test_parts_of_any_size_have_the_gradient_of_the_batch() -> None:
    """The mean over processes of their scaled losses is that of the batch."""
    model = NetworkDenoiser(torch.nn.Conv2d(1, 1, 3, padding=1), EDM())
    model.network.forward = lambda x, level, cond: torch.nn.Conv2d.forward(model.network, x)
    x0, places = torch.randn(5, 1, 6, 6), torch.arange(5)

    def loss(rank: int, ranks: int) -> Tensor:
        module = TrainingModule(
            model, NoiseSpec(), Optimisation(batch_size=5), None, team=Team(rank, ranks)
        )
        module.log = lambda *args, **options: None
        part = slice(5 * rank // ranks, 5 * (rank + 1) // ranks)
        return module.training_step((places[part], x0[part]), 0)

    draws = ItemDraws(0, places.tolist(), "noise")
    whole = training_loss(model, {"x0": x0}, NoiseSpec(), draws).mean()
    for ranks in (1, 2, 3):
        mean = torch.stack([loss(rank, ranks) for rank in range(ranks)]).mean()
        torch.testing.assert_close(mean, whole)


def test_items_on_their_way_are_divided_anew() -> None:
    items = {"place": torch.arange(20, 40), "x": torch.randn(20, 2)}
    parts = []
    for rank in range(3):
        denoiser = NetworkDenoiser(torch.nn.Linear(1, 1), EDM())
        module = TrainingModule(
            denoiser, NoiseSpec(), Optimisation(batch_size=5), None, team=Team(rank, 3)
        )
        part = module._part_of(items)
        assert part is not None
        stream = iter(Batches(Stream(100, 0, start=20), 5, rank, 3))
        expected = [place for _ in range(4) for place, _ in next(stream)]
        assert part["place"].tolist() == expected
        parts.append(part["x"])
    assert sorted(torch.cat(parts)[:, 0].tolist()) == sorted(items["x"][:, 0].tolist())
    with pytest.warns(UserWarning, match="earlier version"):
        assert module._part_of({"x": items["x"]}) is None


def test_numbers_of_processes_that_cannot_be(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_recipe(recipe)
    with pytest.raises(InputError, match="batch_size 5: fewer items than the 6 processes"):
        train(loaded, tmp_path / "a", devices=6)
    with pytest.raises(InputError, match="MASTER_ADDR"):
        train(loaded, tmp_path / "a", nodes=2)
    for name, value in {"RANK": 3, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    assert joined() == Team(3, 8, 1, 2)
    with pytest.raises(InputError, match="--devices 4: torchrun started 2"):
        joined(devices=4)
    with pytest.raises(InputError, match="--nodes 2: torchrun started 4"):
        joined(nodes=2)


def test_a_step_of_slurm_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert joined() is None
    values = {
        "STEP_NUM_TASKS": "8", "STEP_NUM_NODES": "2", "STEP_NODELIST": "gpu[07-08]",
        "PROCID": "5", "LOCALID": "1", "NODEID": "1", "JOB_ID": "123456",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"):
        monkeypatch.setenv(name, "")  # so that what is set is taken back
        monkeypatch.delenv(name)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert joined() == Team(5, 8, 1, 4)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("gpu07", "18456")

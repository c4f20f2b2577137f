"""A training that was stopped, killed or damaged, and gone on with, is the training it was."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from support import TINY_RECIPE
from torch import Tensor
from torch.utils.data import Dataset

from sciddm.errors import InputError, ModelError
from sciddm.physics import Measurement
from sciddm.physics.basic import Identity
from sciddm.storage import BusyError, claim
from sciddm.training import load_recipe, train
from sciddm.training.checkpoints import Checkpoints
from sciddm.training.stream import SeededItems, Stream
from sciddm.zoo import load_model


class Draws(Dataset[Any]):
    """Items that are drawn anew each time; one of them may end the training."""

    served: ClassVar[int] = 0
    at: ClassVar[int] = -1
    what: ClassVar[Any] = None

    def __init__(self, split: str, seed: int = 0) -> None:
        self.split = split

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.split == "train":
            Draws.served += 1
            if Draws.served == Draws.at:
                Draws.what()
        fresh = torch.randn(1, 8, 8) if self.split == "train" else torch.full((1, 8, 8), 0.5)
        return {"x0": fresh + index, "start": fresh}

    @staticmethod
    def measurement(batch: dict[str, Tensor]) -> Measurement:
        return Measurement(batch["x0"] + 0.1, Identity(), 0.1)


RECIPE: dict[str, Any] = {
    "name": "draws",
    "summary": "Noise.",
    **TINY_RECIPE,
    "data": {"dataset": f"{__name__}.Draws"},
    "optimisation": {"batch_size": 4, "steps": 13, "warmup_steps": 2, "precision": "32"},
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


@pytest.fixture(autouse=True)
def _nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draws, "served", 0)
    monkeypatch.setattr(Draws, "at", -1)


def happens(at: int, what: Any) -> None:
    Draws.served, Draws.at, Draws.what = 0, at, staticmethod(what)


def same(one: Path, other: Path) -> bool:
    a, b = (load_model(p).state_dict() for p in (one, other))
    return all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a training without a break."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return train(load_recipe(path), folder / "run", progress=False)


@pytest.mark.parametrize("item", [3, 18, 30])
def test_a_stopped_training_goes_on_as_if_nothing_had_been(
    recipe: Path, tmp_path: Path, whole: Path, item: int
) -> None:
    out = tmp_path / "run"
    happens(item, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(load_recipe(recipe), out, progress=False)
    step = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert step in (-(-item // 4), -(-item // 4) - 1)  # one batch is drawn ahead
    assert not (out / "model").exists()
    assert not (out / ".sciddm").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    (out / "metrics.csv").write_text("of the first part")
    happens(-1, None)
    assert same(train(load_recipe(recipe), out, progress=False), whole)
    assert Draws.served <= 4 * (13 - step + 1)  # nothing is drawn again
    if step:
        assert (out / f"metrics-to-{step}.csv").read_text() == "of the first part"


def test_chains_go_on_with_their_items(recipe: Path, tmp_path: Path) -> None:
    options = ["denoiser.estimate_errors=[1.0, 0.5]", "network.cond_channels=1"]
    first = train(load_recipe(recipe, options), tmp_path / "one", progress=False)
    happens(18, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(load_recipe(recipe, options), tmp_path / "two", progress=False)
    happens(-1, None)
    again = train(load_recipe(recipe, options), tmp_path / "two", progress=False)
    assert same(again, first)


def test_the_number_of_workers_changes_nothing(recipe: Path, tmp_path: Path, whole: Path) -> None:
    made = train(load_recipe(recipe, ["optimisation.workers=1"]), tmp_path / "run", progress=False)
    assert same(made, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_reach_their_handlers_after_the_checkpoint(
    recipe: Path, tmp_path: Path, number: int
) -> None:
    seen: list[int] = []
    before = signal.signal(number, lambda n, frame: seen.append(n))
    try:
        happens(6, lambda: signal.raise_signal(number))
        train(load_recipe(recipe), tmp_path / "run", progress=False)
    finally:
        signal.signal(number, before)
    assert seen == [number]
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    assert not (tmp_path / "run" / "model").exists()


def test_a_killed_training_goes_on_from_its_last_checkpoint(
    recipe: Path, tmp_path: Path, whole: Path
) -> None:
    out, options = tmp_path / "run", ["optimisation.checkpoint_minutes=1e-9"]
    pid = os.fork()
    if pid == 0:
        happens(34, lambda: os._exit(9))
        train(load_recipe(recipe, options), out, progress=False)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    last = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] in (6, 7, 8)
    assert same(train(load_recipe(recipe), out, progress=False), whole)
    assert not (out / ".sciddm").exists()


def test_a_damaged_checkpoint_is_passed_over(recipe: Path, tmp_path: Path, whole: Path) -> None:
    out = tmp_path / "run"
    for steps in (5, 9):
        train(load_recipe(recipe, [f"optimisation.steps={steps}"]), out, progress=False)
    last = out / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.warns(UserWarning, match="goes on from previous.ckpt"):
        newest = Checkpoints(out / "checkpoints").newest()
    assert newest is not None
    assert torch.load(newest, weights_only=True)["global_step"] == 5
    (out / "checkpoints" / "previous.ckpt").write_bytes(b"")
    with pytest.raises(ModelError, match="start with --fresh"):
        train(load_recipe(recipe), out, progress=False)
    train(load_recipe(recipe, ["optimisation.steps=1"]), out, resume=False, progress=False)


def test_a_checkpoint_killed_while_it_gets_its_name(tmp_path: Path) -> None:
    """After every step of the writing the newest is whole, and is the old or the new one."""
    replace = os.replace
    for number in range(5):
        kept = Checkpoints(tmp_path / str(number))
        for text in (b"one", b"two"):
            kept.write(lambda path, text=text: path.write_bytes(text))
        calls: list[Any] = []

        def failing(source: Any, target: Any, calls: Any = calls, number: int = number) -> None:
            calls.append(target)
            if len(calls) > number:
                raise KeyboardInterrupt
            replace(source, target)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "replace", failing)
            with contextlib.suppress(KeyboardInterrupt):
                kept.write(lambda path: path.write_bytes(b"three"))
        newest = kept.newest()
        assert newest is not None
        assert newest.read_bytes() == (b"two" if number == 0 else b"three")


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (self.mark,)


def test_a_checkpoint_runs_no_code(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir(parents=True)
    mark = tmp_path / "mark"
    torch.save({"global_step": 3, "state_dict": Attack(str(mark))}, folder / "last.ckpt")
    with pytest.raises(ModelError, match="no checkpoint"):
        train(load_recipe(recipe), tmp_path / "run", progress=False)
    (folder / "last.ckpt").write_bytes(b"\x80\x02")  # EOFError
    with pytest.raises(ModelError, match="no checkpoint"):
        train(load_recipe(recipe), tmp_path / "run", progress=False)
    (folder / "last.ckpt").write_bytes(pickle.dumps(Attack(str(mark))))
    with pytest.raises(ModelError, match="no checkpoint"):
        train(load_recipe(recipe), tmp_path / "run", progress=False)
    assert not mark.exists()


def test_two_trainings_in_one_folder(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        with claim([out / "model"]):
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(BusyError, match=f"process {pid} "):
            train(load_recipe(recipe), out, progress=False)
    finally:
        os.write(done[1], b"1")
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("card", "words"), [("colour: red", "card.colour"), ("metrics: 3", "card.metrics")]
)
def test_a_card_is_checked_before_the_training(recipe: Path, card: str, words: str) -> None:
    key, value = card.split(": ")
    with pytest.raises(InputError, match=words):
        load_recipe(recipe, [f"card.{key}={value}"])
    load_recipe(recipe, ["card.limits=none"])


def test_items_depend_on_their_place_alone() -> None:
    stream = iter(Stream(20, seed=3))
    places = [next(stream) for _ in range(50)]
    assert [p for p, _ in places] == list(range(50))
    assert sorted(i for _, i in places[:20]) == sorted(i for _, i in places[20:40]) == [*range(20)]
    assert [i for _, i in places[:20]] != [i for _, i in places[20:40]]
    later = iter(Stream(20, seed=3, start=33))
    assert [next(later) for _ in range(10)] == places[33:43]

    items = SeededItems(Draws("train"), seed=1)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    (place, first), (_, other) = items[(5, 2)], items[(6, 2)]
    assert place == 5
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert torch.equal(items[(5, 2)][1]["x0"], first["x0"])
    assert not torch.equal(other["x0"], first["x0"])

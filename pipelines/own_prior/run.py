"""A run: data, plan, training, checks, card. Each stage is kept, so that a killed run goes on.

RUN/request.json   what was asked for
RUN/data, split.json, recipe.yaml, checkpoints, metrics.csv
RUN/checks         results of the checks
RUN/model          the finished model; its card has the checks' figures once they are done
RUN/finished.json  how long weights were trained; their hash once checked
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sciddm.errors import InputError, OptionError
from sciddm.pipelines.engine.quality import Quality
from sciddm.pipelines.own_prior.contract import Checks, Contract, contract_of
from sciddm.pipelines.own_prior.plan import Wishes, planned, seconds_per_step
from sciddm.pipelines.own_prior.prepared import Prepared, prepare
from sciddm.storage import claim
from sciddm.storage.durable import write_durably
from sciddm.training.duration import clock, seconds_of
from sciddm.training.recipe import Recipe, load_recipe
from sciddm.training.run import train
from sciddm.zoo.folder import weights_hash
from sciddm.zoo.names import CARD, is_model_folder

__all__ = ["OwnPrior", "checked_plan", "train_own_prior"]

_FINE_TIME, _NEW_TIME = 1800.0, 7200.0
#: Share of the training's time that the checks may take, and the least of it in seconds.
_CHECK_SHARE, _LEAST_CHECK = 0.5, 60.0
_CHECK_STEPS = 10


@dataclass(frozen=True)
class OwnPrior:
    """What a run is asked for.

    Attributes:
        domain: of ``domains.DOMAINS``, or "images".
        data: folder of the training data.
        start: a model to fine-tune; None to train from nothing.
        keep: folder of images of the start's own kind, a quarter of all that is drawn.
        split_by: rule of ``sources.RULES``; None to choose.
        licence: of the data, for the card.
        name: of the model; "own-DOMAIN" if not given.
        max_time: of training, such as 2h; half an hour to fine-tune, two hours from nothing.
        workers: processes that make training items.
        overrides: ``key=value`` of the recipe.
        qualities: levels that the checks calibrate.
        devices: processes of this machine that train together; None for one a GPU, or one.
    """

    domain: str
    data: Path
    start: str | None = None
    keep: Path | None = None
    split_by: str | None = None
    licence: str = ""
    name: str = ""
    max_time: str | None = None
    workers: int = 0
    overrides: tuple[str, ...] = ()
    qualities: tuple[Quality, ...] = ("fast", "balanced")
    devices: int | None = None

    @property
    def seconds(self) -> float:
        """Of training."""
        if self.max_time is not None:
            return seconds_of(self.max_time)
        return _NEW_TIME if self.start is None else _FINE_TIME

    def identity(self) -> dict[str, object]:
        """What a run that goes on must have been started with."""
        return {
            "domain": self.domain,
            "data": str(self.data.resolve()),
            "start": self.start,
            "keep": None if self.keep is None else str(self.keep.resolve()),
            "split_by": self.split_by,
            "overrides": list(self.overrides),
        }


def train_own_prior(
    wanted: OwnPrior,
    run: Path,
    *,
    fresh: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Trains, checks and describes a model on a folder; goes on where an earlier call stopped.

    Args:
        wanted: data and options.
        run: the run's folder.
        fresh: start anew.
        progress: show the training's progress bar.
        say: called with a line about each stage.

    Returns:
        RUN/model, which the domain's verbs take as ``--model``.

    Raises:
        InputError: unusable data, or a run that was started with other options.
        OptionError: an option that does not fit the domain.
        BusyError: another process trains in that folder.
    """
    contract = contract_of(wanted.domain)
    run.mkdir(parents=True, exist_ok=True)
    model = run / "model"
    with claim([run / "finished.json"]):
        if fresh:
            _discard(run)
        _same_request(wanted, run)
        prepared, recipe = _recipe(contract, wanted, run, say)
        finish: dict[str, object] = _finished(run)
        long_enough = float(str(finish.get("seconds", 0))) >= wanted.seconds
        if not (is_model_folder(model) and long_enough):
            say(f"training for {clock(wanted.seconds)} at most: {run / 'metrics.csv'}")
            train(
                recipe,
                run,
                max_time=clock(wanted.seconds),
                progress=progress,
                devices=wanted.devices,
            )
            finish = {"seconds": wanted.seconds}
            _write(run / "finished.json", finish)
        if finish.get("weights") != weights_hash(model):
            _check(contract, wanted, prepared, run, say)
        _write(run / "finished.json", {"weights": weights_hash(model), "seconds": wanted.seconds})
    return model


def checked_plan(wanted: OwnPrior, run: Path, say: Callable[[str], None]) -> None:
    """Prepares a run, makes ten steps and says what the whole would take; trains nothing.

    Raises:
        InputError, OptionError: as ``train_own_prior``.
    """
    contract = contract_of(wanted.domain)
    run.mkdir(parents=True, exist_ok=True)
    with claim([run / "finished.json"]):
        _same_request(wanted, run)
        _, recipe = _recipe(contract, wanted, run, say)
    each = seconds_per_step(recipe, _CHECK_STEPS)
    o = recipe.optimisation
    steps = min(o.steps, int(wanted.seconds / each))
    say(f"{_CHECK_STEPS} steps of {o.batch_size} items: {each:.3g} s each")
    say(f"{clock(wanted.seconds)} of training are about {steps} steps")
    if recipe.network is not None:
        say(f"network: {json.dumps(recipe.network)}")
    say(f"the plan is {run / 'recipe.yaml'}; the same command without --check trains")


def _recipe(
    contract: Contract, wanted: OwnPrior, run: Path, say: Callable[[str], None]
) -> tuple[Prepared, Recipe]:
    """The data and the plan, those of an earlier call where there are any."""
    prepared = _prepared(contract, wanted.data, run, wanted.split_by)
    say(prepared.sentence(contract.kind.word))
    target = run / "recipe.yaml"
    if (run / "planned").is_file():
        return prepared, load_recipe(target, wanted.overrides)
    keep: Path | None = None
    if wanted.keep is not None:
        if not contract.keeps:
            raise OptionError("keep", f"{wanted.domain} draws from one folder only: leave it out")
        keep = _prepared(contract, wanted.keep, run / "keep", None).folder
    wishes = Wishes(
        wanted.name or f"own-{wanted.domain}",
        wanted.seconds,
        wanted.start,
        wanted.licence,
        wanted.workers,
        wanted.overrides,
        keep,
    )
    recipe = planned(contract, prepared, wishes, target)
    write_durably(run / "planned", b"")
    return prepared, recipe


def _prepared(contract: Contract, data: Path, run: Path, rule: str | None) -> Prepared:
    prepared = prepare(data, run, contract.kind, contract.read, rule, contract.sources)
    contract.fits(prepared)
    return prepared


def _check(
    contract: Contract,
    wanted: OwnPrior,
    prepared: Prepared,
    run: Path,
    say: Callable[[str], None],
) -> None:
    """The checks' figures go into the card."""
    seconds = max(_LEAST_CHECK, _CHECK_SHARE * wanted.seconds)
    say(f"checks for about {clock(seconds)}")
    card = json.loads((run / "model" / CARD).read_text(encoding="utf-8"))
    parts = contract.check(
        Checks(
            run / "model",
            prepared,
            wanted.start,
            run / "checks",
            seconds,
            wanted.qualities,
            say,
        )
    )
    _write(run / "model" / CARD, {**card, **parts})


def _same_request(wanted: OwnPrior, run: Path) -> None:
    path = run / "request.json"
    if not path.is_file():
        _write(path, wanted.identity())
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    now = wanted.identity()
    other = [key for key in now if before.get(key) != now[key]]
    if other and not (run / "planned").is_file():  # refused before anything was trained
        _discard(run)
        _write(path, now)
    elif other:
        raise InputError(
            f"{run}: was started with another {other[0]} ({before.get(other[0])}): take --fresh, "
            "or another folder for the run"
        )


def _finished(run: Path) -> dict[str, object]:
    try:
        return dict(json.loads((run / "finished.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _discard(run: Path) -> None:
    for name in ("data", "keep", "checks", "checkpoints", "model"):
        shutil.rmtree(run / name, ignore_errors=True)
    for name in ("request.json", "recipe.yaml", "planned", "finished.json", "split.json"):
        (run / name).unlink(missing_ok=True)


def _write(path: Path, content: object) -> None:
    write_durably(
        path,
        (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(
            "utf-8", "backslashreplace"
        ),
    )

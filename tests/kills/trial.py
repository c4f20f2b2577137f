"""One fault in one run, and what is there after the next start."""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kills import library
from tests.kills.fork import HUNG, UNCLEAR, in_child
from tests.kills.scenarios import Scenario

__all__ = ["Prepared", "Trial", "prepare", "trial"]

_HIDDEN = ".sciddm"


@dataclass
class Prepared:
    """A scenario with its undisturbed course.

    Attributes:
        scenario: which.
        before: folder with the older outputs.
        after: names of the newer outputs.
        calls: names of the calls that change the disk, in their order.
        seconds: that a run takes.
        contents: of the newer files, those that two undisturbed runs make alike.
        weights: of an undisturbed training.
    """

    scenario: Scenario
    before: Path
    after: set[str]
    calls: list[str]
    seconds: float
    contents: dict[str, bytes] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What came of a fault.

    Attributes:
        answer: "old", "new" or "mixed" (items of a batch each for itself), or what is wrong.
        wrong: whether it is wrong.
    """

    answer: str
    wrong: bool = False


def prepare(scenario: Scenario, place: Path) -> Prepared:
    """Makes the older outputs, and counts the calls of a run that replaces them."""
    before, work = place / "before", place / "work"
    before.mkdir(parents=True)
    _load_modules_of(scenario, place / "loading")
    if scenario.older:
        _check(in_child(lambda: scenario.run(before, 0)), scenario.name)
    shutil.copytree(before, work)

    def measured() -> None:
        start = time.monotonic()
        library.arm(work, 0, 0)
        scenario.run(work, 1)
        told = {"calls": library.calls(), "seconds": time.monotonic() - start}
        (place / "measures").write_text(json.dumps(told))

    _check(in_child(measured), scenario.name)
    measures = json.loads((place / "measures").read_text())
    ready = Prepared(scenario, before, _names(work), measures["calls"], measures["seconds"])
    first = _contents(work)
    if scenario.trains:
        ready.weights = _weights(work)
    shutil.rmtree(work)
    if not scenario.trains:
        shutil.copytree(before, work)
        _check(in_child(lambda: scenario.run(work, 1)), scenario.name)
        second = _contents(work)
        ready.contents = {k: v for k, v in first.items() if second.get(k) == v}
        shutil.rmtree(work)
    return ready


def _load_modules_of(scenario: Scenario, work: Path) -> None:
    """Loads here what a run of the scenario loads: most of a trial's time would go there."""
    work.mkdir()
    names = work.with_name("modules")

    def run() -> None:
        scenario.run(work, 0)
        names.write_text("\n".join(sys.modules))

    _check(in_child(run), scenario.name)
    for name in names.read_text().split("\n"):
        with contextlib.suppress(Exception):  # some are no modules of their own
            importlib.import_module(name)
    shutil.rmtree(work)


def trial(ready: Prepared, place: Path, number: int, action: int, delay: float = 0.0) -> Trial:
    """Runs the scenario with a fault, starts it anew, and looks.

    Args:
        ready: the scenario.
        place: a folder that is removed in the end.
        number: of the call that fails; 0 for a kill after `delay` seconds.
        action: see `library.arm`.
        delay: seconds.
    """
    scenario = ready.scenario
    shutil.copytree(ready.before, place)
    try:

        def disturbed() -> None:
            if number:
                library.arm(place, number, action)
            scenario.run(place, 1)

        code = in_child(disturbed, None if number else delay)
        if code < 0 and code != -signal.SIGKILL:
            return Trial(f"crashed ({signal.Signals(-code).name})", True)
        if code == UNCLEAR:
            return Trial("an error that is none of sciddm's", True)
        if code == HUNG:
            return Trial("does not end", True)
        return _trained(ready, place) if scenario.trains else _written(ready, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _written(ready: Prepared, place: Path) -> Trial:
    from sciddm.data_adapters.commit import recover, verify

    recover(place)
    before, now = _contents(ready.before), _contents(place)
    hidden = [name for name in _names(place) if _HIDDEN in name]
    if hidden:
        return Trial(f"left over: {hidden[:4]}", True)
    answers = set()
    for item in ready.scenario.items:
        old = {k: v for k, v in before.items() if k.startswith(item)}
        held = {k: v for k, v in now.items() if k.startswith(item)}
        names = {n for n in _names(place) if n.startswith(item)}
        if held == old:
            answers.add("old")
        elif names == {n for n in ready.after if n.startswith(item)}:
            lost = [k for k in held if held[k] != ready.contents.get(k, held[k])]
            if lost:
                return Trial(f"another content: {lost[:4]}", True)
            answers.add("new")
        else:
            return Trial(f"torn: {sorted(set(held) ^ ready.after)[:6]}", True)
    others = _names(place) - ready.after - _names(ready.before)
    if others:
        return Trial(f"left over: {sorted(others)[:4]}", True)
    if now and any(c.state != "whole" for c in verify([place])):
        return Trial("not what was written", True)
    if answers != {"new"}:  # the next start makes what is missing
        _check(in_child(lambda: ready.scenario.run(place, 1)), ready.scenario.name)
        if _names(place) != ready.after or any(c.state != "whole" for c in verify([place])):
            return Trial("the next start does not make it whole", True)
    return Trial(answers.pop() if len(answers) == 1 else "mixed")


def _trained(ready: Prepared, place: Path) -> Trial:
    was = (place / "run" / "model").is_dir()
    if was:
        return Trial("new", bool(_weights(place) != ready.weights))
    _check(in_child(lambda: ready.scenario.run(place, 1)), ready.scenario.name)
    if _weights(place) != ready.weights:
        return Trial("the training that goes on has other weights", True)
    if any(_HIDDEN in name for name in _names(place)):
        return Trial("something is left over", True)
    return Trial("old")


def _weights(folder: Path) -> dict[str, bytes]:
    return {"model": (folder / "run" / "model" / "model.safetensors").read_bytes()}


def _check(code: int, name: str) -> None:
    if code != 0:
        raise RuntimeError(f"{name}: the undisturbed run ends with {code}")


def _contents(folder: Path) -> dict[str, bytes]:
    files = (name for name in _names(folder) if (folder / name).is_file())
    return {name: (folder / name).read_bytes() for name in files}


def _names(folder: Path) -> set[str]:
    """Of all outputs; the table of results of a batch is made anew at every start."""
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
    return {name for name in names if not name.startswith((".results", "results."))}

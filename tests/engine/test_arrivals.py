"""Folders that a scanner writes to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sciddm.pipelines.engine import execute
from sciddm.pipelines.engine.arrivals import arrivals
from sciddm.pipelines.engine.batch import Job


class Script:
    """What happens in each pause; after the last the user stops the command."""

    def __init__(self, *steps: Callable[[], Any]) -> None:
        self.steps: Iterator[Callable[[], Any]] = iter(steps)

    def __call__(self, pause: float) -> None:
        step = next(self.steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


def rest() -> None:
    """Nothing happens."""


def test_an_item_is_done_when_it_has_stopped_to_grow(tmp_path: Path) -> None:
    file, series = tmp_path / "a.h5", tmp_path / "series"

    def begin() -> None:
        file.write_text("a")
        series.mkdir()

    def more() -> None:
        file.write_text("abc")
        (series / "1.dcm").write_text("x")

    def again() -> None:
        file.write_text("abcdef")
        os.utime(file, ns=(1, 1))

    script = Script(begin, more, rest, rest, again, rest, rest)
    arrived = []

    def look() -> list[Job]:
        return [Job(path, path) for path in sorted(tmp_path.iterdir())]

    with suppress(KeyboardInterrupt):
        for jobs in arrivals(look, wait=script):
            arrived.append([job.source.name for job in jobs])
    assert arrived == [["a.h5", "series"], ["a.h5"]]


def test_a_watched_folder(
    tmp_path: Path, toy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New files are done, a bad one does not stop the others, and is done when it is mended."""
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    script = Script(
        rest,
        lambda: (inside / "a.txt").write_text("1\n2\n3\n"),
        lambda: (inside / "b.txt").write_text("no number"),
        rest,
        lambda: (inside / "b.txt").write_text("3\n4\n5\n6\n"),
        rest,
        rest,
    )
    monkeypatch.setattr(execute, "arrivals", partial(arrivals, wait=script))
    answer = toy("smooth", inside, "-o", out, "--watch", "--json")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    statuses = [(Path(r["input"]).name, r["status"]) for d in lines for r in d["results"]]
    assert statuses == [("a.txt", "done"), ("b.txt", "failed"), ("b.txt", "done")]
    assert answer.code == 1  # one failed once
    assert (out / "results.csv").read_text().count("done") == 2

    script.steps = iter([rest, rest])
    answer = toy("smooth", inside, "-o", out, "--watch")
    assert "a.txt: skipped" in answer.err  # what is there is kept
    assert answer.code == 0

    (inside / "a.txt").write_text("7\n8\n9\n")
    answer = toy("smooth", inside, "-o", out)
    assert "a.txt: kept" in answer.err
    assert "input has changed" in answer.err
    assert "b.txt: done already" in answer.err
    assert toy("smooth", inside, "-o", out, "--overwrite").code == 0
    (inside / "a.txt").touch()  # newer, and the same
    assert "changed" not in toy("smooth", inside, "-o", out).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{in}/a.txt", "-o", "{out}", "--watch"], "one folder"),
        (["{in}", "-o", "{in}", "--watch"], "is the folder that is watched"),
        (["{in}", "-o", "{out}", "--watch", "--jobs", "2"], "one process"),
        (["{in}", "-o", "{out}", "--watch", "--overwrite"], "replaces nothing"),
    ],
)
def test_what_cannot_be_watched(
    tmp_path: Path, toy: Callable[..., Any], words: list[str], message: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("1\n2\n3\n")
    places = {"in": tmp_path / "in", "out": tmp_path / "out"}
    with pytest.raises(ValueError, match=message):
        toy("smooth", *(word.format(**places) for word in words))

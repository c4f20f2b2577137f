"""Items on a dask cluster whose processes are killed: nothing lost, nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from test_workers import _COMMAND, fragile, written

from benchmarks.dask_processes import DaskProcesses
from sciddm.errors import InputError
from sciddm.pipelines.engine.results.table import read_results

pytest.importorskip("distributed")
HERE = Path(__file__).parent


def test_killed_workers_and_schedulers_cost_time_only(tmp_path: Path) -> None:
    folder, out, log = tmp_path / "in", tmp_path / "out", tmp_path / "log"
    folder.mkdir()
    for k in range(10):
        (folder / f"n{k}.txt").write_text(f"{k} waits 0.4")
    (folder / "bad.txt").write_text("bad")

    def starts() -> int:
        return len(log.read_text().splitlines()) if log.exists() else 0

    (tmp_path / "dask").mkdir()
    with DaskProcesses(tmp_path / "dask", [HERE]) as dask:
        dask.start_scheduler()
        first = dask.start_worker()
        words = ["fragile", "square", folder, "-o", out, "--log", log, "--json"]
        with subprocess.Popen(
            [sys.executable, "-c", _COMMAND, HERE, *words, "--scheduler", dask.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as batch:
            _wait(lambda: starts() >= 2, batch)
            dask.kill(first)  # in the middle of an item
            dask.start_worker()
            _wait(lambda: starts() >= 5, batch)
            dask.kill(dask.scheduler)
            dask.start_scheduler()
            dask.start_worker()
            said, told = batch.communicate(timeout=240)
    assert batch.returncode == 1, told  # one item is bad
    document = json.loads(said)
    status = Counter(r["status"] for r in document["results"])
    assert status["failed"] == 1
    assert status["done"] + status["skipped"] == 10, said
    assert "the scheduler is gone" in told
    # Each kill may cost the item under way a second start, no other.
    counts = Counter(Path(line.split()[0]).name for line in log.read_text().splitlines())
    assert set(counts) == {f"n{k}.txt" for k in range(10)}
    assert sum(counts.values()) <= 12
    assert max(counts.values()) <= 3
    rows = read_results(out)
    assert [row["status"] for row in rows].count("done") == 10
    assert {row["square"] for row in rows if row["status"] == "done"} == {k * k for k in range(10)}
    fragile(folder, "-o", tmp_path / "one")
    assert written(tmp_path / "one") == written(out)
    assert not (out / ".sciddm").exists()


def _wait(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not reached():
        assert time.monotonic() < end, "nothing happens"
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)


def test_no_scheduler_is_one_sentence(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("1")
    with pytest.raises(InputError, match="no dask scheduler answers there"):
        fragile(tmp_path, "-o", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")

"""Several processes compare pairs: the same scores, whatever becomes of a process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import scoring_judges as judges
import soundfile
from typer.testing import CliRunner

from sciddm.pipelines.cli import app
from sciddm.pipelines.engine.workers.scoring import score_by_workers


def test_scores_come_in_the_order_of_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    pairs = [(str(k), k, 10.0 * k) for k in range(6)]
    scores = score_by_workers(judges.plain, pairs, 2)
    assert [s.name for s in scores] == [str(k) for k in range(6)]
    assert [s.values["sum"] for s in scores] == [11.0 * k for k in range(6)]
    assert os.getpid() not in {s.values["pid"] for s in scores}
    assert {s.values["threads"] for s in scores} == {max(1, (os.cpu_count() or 1) // 2)}
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_process_that_is_lost_costs_time_only(tmp_path: Path) -> None:
    names = ["first", "bad", "worst", "last"]
    scores = score_by_workers(judges.fragile, [(n, str(tmp_path), None) for n in names], 2)
    assert [s.name for s in scores] == names
    assert [bool(s.error) for s in scores] == [False, False, True, False]
    assert "worst: the process that compared it ended, twice" in scores[2].error


def test_evaluate_takes_jobs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for folder in ("clean", "made"):
        (tmp_path / folder).mkdir()
    for k in range(3):
        clean = 0.1 * random.standard_normal(16000)
        soundfile.write(tmp_path / "clean" / f"{k}.wav", clean, 16000)
        if k < 2:
            made = clean + 0.01 * (k + 1) * random.standard_normal(16000)
            soundfile.write(tmp_path / "made" / f"{k}.wav", made, 16000)
    words = ["speech", "evaluate", "--reference", str(tmp_path / "clean"), "--estimate"]
    words += [str(tmp_path / "made"), "--json"]
    alone, shared = (CliRunner().invoke(app, [*words, "--jobs", n]) for n in "12")
    assert json.loads(shared.stdout) == json.loads(alone.stdout)
    assert alone.exit_code == shared.exit_code == 1  # one has no estimate
    errors = [row["error"] for row in json.loads(shared.stdout)["results"]]
    assert errors[:2] == [None, None]
    assert "holds no recording named 2" in errors[2]

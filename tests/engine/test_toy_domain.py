"""A domain of 120 lines gets everything else from the engine."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path

import numpy as np
import pytest
import toy_domain
from toy_domain import DOMAIN, Smooth, evaluate, smooth_verb

from sciddm.errors import InputError, OptionError, OutputError
from sciddm.pipelines.engine.demo import run_demo

LINES = 120


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    np.savetxt(path, [280.0, 281, 279, 282, 280, 281, 280])
    return path


def expected(values: np.ndarray, width: int, draws: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kernel = np.full(width, 1 / width)
    noisy = [values + 0.1 * rng.standard_normal(len(values)) for _ in range(draws)]
    return np.mean([np.convolve(n, kernel, mode="same") for n in noisy], 0)


def test_the_domain_is_short():
    lines = Path(toy_domain.__file__).read_text().splitlines()
    assert len(lines) <= LINES


def test_python_and_the_command_line_agree_bit_by_bit(toy, series, tmp_path):
    answer = toy("smooth", series, "-o", tmp_path / "b.txt", "--width", 5, "--draws", 3)
    assert answer.code == 0, answer.err
    result = smooth_verb(series, width=5, draws=3)
    written = np.loadtxt(tmp_path / "b.txt")
    np.testing.assert_array_equal(written, np.loadtxt(_saved(result, tmp_path / "c.txt")))
    np.testing.assert_allclose(result.estimate.values, expected(np.loadtxt(series), 5, 3))
    assert result.estimate.attrs["units"] == "K"
    assert set(result.data) >= {"estimate", "std", "smoothed", "raw"}


def _saved(result, path: Path) -> Path:
    assert result.save(path) == [
        path,
        path.with_name(f"{path.stem}_std.txt"),
        path.with_suffix(".json"),
    ]
    return path


def test_data_in_memory_give_what_their_file_gives(series):
    data = toy_domain.read(series, Smooth())
    np.testing.assert_array_equal(
        smooth_verb(data, seed=3).estimate.values, smooth_verb(series, seed=3).estimate.values
    )


def test_an_option_reaches_signature_help_request_and_command(toy, series, tmp_path):
    parameters = inspect.signature(smooth_verb).parameters
    assert parameters["width"].default == 3
    assert "Width of the window." in (smooth_verb.__doc__ or "")
    assert "--width" in toy("smooth", "--help").out
    toy("smooth", series, "-o", tmp_path / "b.txt", "--width", 5, "--unit", "C")
    stored = json.loads((tmp_path / "b.json").read_text())
    assert stored["request"] == {
        "width": 5, "draws": None, "quality": "balanced", "seed": 0,
    }  # fmt: skip
    assert (
        stored["command"]
        == f"sciddm toy smooth {series} -o {tmp_path / 'b.txt'} --width 5 --seed 0"
    )
    assert len(stored["input_sha256"]) == 64
    assert stored["input"] == "a.txt"
    assert stored["date"].endswith("+00:00")


@pytest.mark.parametrize(
    ("options", "name"),
    [({"width": 2}, "width"), ({"width": 0}, "width"), ({"draws": 1}, "draws"),
     ({"quality": "quick"}, "quality"), ({"breadth": 3}, "breadth"), ({"seed": 0.5}, "seed")],
)  # fmt: skip
def test_a_bad_option_is_named(series, options, name):
    with pytest.raises(OptionError) as caught:
        smooth_verb(series, **options)
    assert caught.value.option == name
    assert isinstance(caught.value, ValueError)


def test_the_command_line_names_the_flag(toy, series, tmp_path):
    with pytest.raises(OptionError):  # the root command makes one line of it
        toy("smooth", series, "-o", tmp_path / "b.txt", "--width", 2)
    assert not (tmp_path / "b.txt").exists()


def test_a_batch_goes_on_after_a_failure_and_resumes(toy, series, tmp_path):
    (tmp_path / "bad.txt").write_text("no number\n")
    out = tmp_path / "out"
    first = toy("smooth", tmp_path, "-o", out, "--json")
    assert first.code == 1
    document = json.loads(first.out)
    assert (document["done"], document["failed"]) == (1, 1)
    assert document["results"][0]["mean_k"] == pytest.approx(
        np.mean(expected(np.loadtxt(series), 3, 8))
    )
    stamp = (out / "a.txt").stat().st_mtime_ns
    second = toy("smooth", tmp_path, "-o", out, "--json")
    assert json.loads(second.out)["skipped"] == 1
    assert (out / "a.txt").stat().st_mtime_ns == stamp
    other = toy("smooth", tmp_path, "-o", out, "--width", 5)
    assert "made with another width" in other.err


def test_an_existing_output_is_not_replaced(toy, series, tmp_path):
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(OutputError):
        toy("smooth", series, "-o", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "mine"
    assert not list(tmp_path.glob("b_std*"))


def test_warnings_reach_the_terminal_and_python(toy, tmp_path):
    short = tmp_path / "short.txt"
    np.savetxt(short, [1.0, 2.0, 3.0, 4.0])
    answer = toy("smooth", short, "-o", tmp_path / "b.txt")
    assert "warning: short.txt: The series is short." in answer.err
    assert smooth_verb(short).warnings == ["The series is short."]


def test_a_report_that_fails_does_not_cost_the_result(toy, series, tmp_path, monkeypatch):
    assert toy("smooth", series, "-o", tmp_path / "b.txt", "--report").code == 0
    assert "<title>Series</title>" in (tmp_path / "b.html").read_text()
    monkeypatch.setattr(smooth_verb, "page", lambda data, result: 1 / 0)
    answer = toy("smooth", series, "-o", tmp_path / "c.txt", "--report")
    assert answer.code == 0
    assert "warning: a.txt: The report could not be made" in answer.err
    assert {p.name for p in tmp_path.glob("c*")} == {"c.txt", "c_std.txt", "c.json"}


def test_evaluate(toy, series, tmp_path):
    other = tmp_path / "other.txt"
    np.savetxt(other, np.loadtxt(series) + 2)
    answer = toy("evaluate", "--reference", series, "--estimate", other, "--json")
    assert json.loads(answer.out)["mean"]["rmse"] == pytest.approx(2)
    assert evaluate(series, other).mean["rmse"] == pytest.approx(2)
    with pytest.raises(InputError):
        evaluate(series)


def test_the_demo_shows_what_the_command_line_would_do(tmp_path, capsys, monkeypatch):
    def slow(data, request, context):
        time.sleep(0.2)
        return toy_domain.smooth(data, request, context)

    monkeypatch.setattr(smooth_verb, "compute", slow)
    run_demo(DOMAIN, tmp_path, "fast")
    stored = json.loads((tmp_path / "smooth.json").read_text())
    assert stored["request"]["width"] == 5
    assert stored["request"]["quality"] == "fast"
    assert (tmp_path / "smooth.html").exists()
    said = capsys.readouterr().out
    assert "smooth.html" in said
    seconds = next(line for line in said.splitlines() if line.startswith("seconds"))
    assert float(seconds.split()[-1]) >= 0.2

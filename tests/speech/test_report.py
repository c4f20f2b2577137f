"""The page of an enhancement: what it shows and plays is what the result holds."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import soundfile
import xarray as xr
from PIL import Image

from sciddm.pipelines.engine.report.charts import Chart
from sciddm.pipelines.engine.report.page import Axis, Panel, Report, Section, Verdict, render
from sciddm.pipelines.speech.enhance import Block
from sciddm.pipelines.speech.page import Excerpt, speech_page

RATE = 8000


def excerpt_of(noisy: np.ndarray, enhanced: np.ndarray, block: int = 777) -> Excerpt:
    excerpt = Excerpt(RATE, noisy.shape[1])
    for i in range(0, noisy.shape[1], block):
        excerpt.push(Block(noisy[:, i : i + block], enhanced[:, i : i + block], None))
    return excerpt


def result_of(noisy: np.ndarray, enhanced: np.ndarray, **more) -> xr.Dataset:
    dims = ("channel", "time")
    told = {"input": "a.wav", "command": "sciddm", **attrs(noisy.shape[1], **more)}
    return xr.Dataset({"noisy": (dims, noisy), "enhanced": (dims, enhanced)}, attrs=told)


def attrs(frames: int, **more) -> dict:
    return {
        "rate": RATE,
        "bandwidth_hz": RATE / 2,
        "duration_s": frames / RATE,
        "level_change_db": -1.5,
        "nfe": 5,
        "real_time_factor": 0.25,
        "model": "m",
        "sampler": "sde",
        "warnings": "[]",
        **more,
    }


@pytest.mark.parametrize("seconds", [3, 50])
def test_the_excerpt_is_the_middle(seconds):
    noisy = np.arange(2 * seconds * RATE, dtype=np.float32).reshape(2, -1)
    excerpt = excerpt_of(noisy, -noisy)
    shown = min(seconds, 20) * RATE
    start = (seconds * RATE - shown) // 2
    np.testing.assert_array_equal(excerpt["noisy"], noisy[:, start : start + shown])
    np.testing.assert_array_equal(excerpt["enhanced"], -noisy[:, start : start + shown])
    assert excerpt.start == start
    assert "std" not in excerpt


def test_spectrograms_are_in_db_and_the_right_way_up():
    """A sine at a quarter of the highest frequency is 0 dB there, three quarters down."""
    frames = 2 * RATE
    t = np.arange(frames) / RATE
    noisy = np.sin(2 * np.pi * 1000 * t)[None].astype(np.float32)
    page = speech_page(None, result_of(noisy, 0.1 * noisy))
    panels = {p.title: p for p in page.sections[0].panels}
    assert list(panels) == ["Noisy", "Enhanced", "Taken away"]
    for title, level in (("Noisy", 0.0), ("Enhanced", -20.0), ("Taken away", 20 * np.log10(0.9))):
        column = panels[title].image[:, panels[title].image.shape[1] // 2]
        assert column.max() == pytest.approx(level, abs=0.05)
        assert column.argmax() / (len(column) - 1) == pytest.approx(0.75)
    rows, columns = panels["Noisy"].scales
    assert (rows.first, rows.last) == (0.0, 4.0)
    assert (columns.first, columns.last) == (0.0, 2.0)


def test_players_play_the_result():
    rng = np.random.default_rng(0)
    noisy = rng.uniform(-0.9, 0.9, (2, 4000)).astype(np.float32)
    report = speech_page(None, result_of(noisy, 0.25 * noisy))
    found = re.findall(r'<audio [^>]*src="data:audio/flac;base64,([^"]+)"', render(report))
    played = [soundfile.read(io.BytesIO(base64.b64decode(f)), dtype="float32") for f in found]
    for (wave, rate), wanted in zip(played, (noisy, 0.25 * noisy, 0.75 * noisy), strict=True):
        assert rate == RATE
        np.testing.assert_allclose(wave.T, wanted, atol=2**-15)


def test_remarks_are_the_verdict():
    ones = np.ones((1, 4000), np.float32)
    good = speech_page(None, result_of(ones, ones))
    assert good.verdict.level == "good"
    assert "-1.5 dB" in good.verdict.headline
    page = speech_page(None, result_of(ones, ones, warnings='["The recording is clipped."]'))
    assert page.verdict.level == "doubtful"
    assert list(page.verdict.remarks) == ["The recording is clipped."]


@pytest.mark.parametrize(("change", "text"), [(-0.04, "+0.0 dB"), (-0.06, "-0.1 dB")])
def test_no_change_has_no_minus(change: float, text: str):
    ones = np.ones((1, 100), np.float32)
    page = speech_page(None, result_of(ones, ones, level_change_db=change))
    assert f"({text} where" in page.verdict.headline


def test_a_silent_recording_has_a_page():
    zeros = np.zeros((1, 100), np.float32)
    said = {"level_change_db": float("nan"), "warnings": '["The recording is silent."]'}
    assert "silent" in render(speech_page(None, result_of(zeros, zeros, **said)))


def test_a_panel_with_scales_fills_its_frame():
    """One bright cell of 4 x 5 lies where its row and column say, whatever the shape."""
    image = np.zeros((4, 5))
    image[1, 3] = 1.0
    panel = Panel("x", image, (0, 1), scales=(Axis("y", 0, 4), Axis("x", 0, 5)))
    page = render(Report("t", "s", Verdict("good", "fine"), [Section("s", [panel])], [], "c"))
    png = re.search(r"data:image/png;base64,([^\"]+)", page)[1]
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    pixels = np.asarray(picture).min(-1) / 255
    # The frame is what is black; numbers and ink around it are not.
    rows, columns = np.nonzero(pixels < 0.01)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    bright = pixels[top : bottom + 1, left : right + 1] > 0.9
    y, x = (axis.mean() / size for axis, size in zip(np.nonzero(bright), bright.shape, strict=True))
    assert y == pytest.approx(1.5 / 4, abs=0.02)
    assert x == pytest.approx(3.5 / 5, abs=0.02)


def test_the_standard_deviation_is_a_curve_of_levels():
    enhanced = np.full((1, 2 * RATE), 0.5, np.float32)
    std = np.full((1, 2 * RATE), 0.05, np.float32)
    std[:, RATE:] = 0.005
    result = result_of(enhanced, enhanced).assign(std=(("channel", "time"), std))
    chart = next(p for p in speech_page(None, result).sections[0].panels if isinstance(p, Chart))
    sound, error = chart.curves
    np.testing.assert_allclose(sound.y, 0, atol=1e-4)  # at the largest sample
    np.testing.assert_allclose(error.y[error.x < 0.95], -20, atol=1e-3)
    np.testing.assert_allclose(error.y[error.x > 1.05], -40, atol=1e-3)

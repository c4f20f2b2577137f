"""The viewer of a page: its codes are the values, and a browser shows what the sliders say."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sciddm.geometry.display import view
from sciddm.pipelines.engine.report.page import (
    Layer,
    Report,
    Section,
    Verdict,
    Viewer,
    render,
)
from sciddm.pipelines.engine.report.viewer import viewer_block

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def stack(planes: int = 5) -> np.ndarray:
    """Plane k holds 100 k + row in steps, (plane, 6, 8)."""
    k, row, column = np.mgrid[:planes, :6, :8]
    return 100.0 * k + 10 * row + column


def about(block: str) -> dict:
    match = re.search(r'data-viewer="([^"]+)"', block)
    assert match is not None
    found: dict = json.loads(unescape(match[1]))
    return found


def codes(block: str) -> list[np.ndarray]:
    pngs = re.findall(r"data:image/png;base64,([^\"]+)", block)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]


def test_codes_are_the_values_to_half_a_step():
    viewer = Viewer("x", [Layer("a", stack()), Layer("b", 2 * stack())], (0, 510))
    told, (first, second) = about(viewer_block(viewer)), codes(viewer_block(viewer))
    assert told["labels"] == [f"slice {k} of 5" for k in range(1, 6)]
    assert (told["rows"], told["columns"]) == (6, 8)
    values = told["low"] + first.reshape(5, 6, 8) * 1.0 * (told["high"] - told["low"]) / 255
    np.testing.assert_allclose(values, stack(), atol=1.0)
    np.testing.assert_array_equal(second, np.rint(np.clip(stack(), 0, 255).reshape(30, 8)))


def test_presets_beyond_the_window_are_within_the_codes():
    viewer = Viewer("x", [Layer("a", stack())], (0, 100), presets={"wide": (-100, 900)})
    told = about(viewer_block(viewer))
    assert (told["low"], told["high"]) == (-100, 900)


def test_planes_of_a_patient_are_turned_and_lettered():
    viewer = Viewer("x", [Layer("a", stack())], (0, 255), view=view(np.eye(4)))
    block = viewer_block(viewer)
    np.testing.assert_array_equal(codes(block)[0][:6], stack()[0, ::-1, ::-1])
    assert '<span class="letter left">R</span>' in block


def test_a_large_volume_keeps_the_page_small_and_says_what_is_left_out():
    noise = np.random.default_rng(0).uniform(0, 1, (24, 400, 700)).astype(np.float32)
    block = viewer_block(Viewer("x", [Layer("a", noise), Layer("b", noise)], (0, 1), "HU"))
    assert len(block) < 900_000
    told = about(block)
    shown = len(told["labels"])
    assert 2 <= shown < 24
    assert f"{shown} of 24 slices" in block
    assert (told["labels"][0], told["labels"][-1]) == ("slice 1 of 24", "slice 24 of 24")
    assert told["aspect"] == pytest.approx(700 / 400)
    mean = noise[0, :399, :699].reshape(133, 3, 233, 3).mean((1, 3))
    np.testing.assert_allclose(codes(block)[0][:133] / 255, mean, atol=0.5 / 255 + 1e-6)


def test_planes_that_were_not_given_are_counted():
    block = viewer_block(Viewer("x", [Layer("a", stack())], (0, 510), plane="band", total=204))
    assert "5 of 204 bands" in block
    assert "The wheel changes the band." in block
    assert "wheel" not in viewer_block(Viewer("x", [Layer("a", stack(1))], (0, 510)))


def test_titles_are_only_text():
    block = viewer_block(Viewer('<b>"x', [Layer("</script><i>", stack())], (0, 1), "<u>"))
    assert not re.search(r"<(b|i|u|/script)>", block)


def page(*layers: Layer, **options) -> str:
    viewer = Viewer("Explore", layers, (0, 255), "HU", **options)
    section = Section("Explore", [], viewers=[viewer])
    return render(Report("t", "s", Verdict("good", "Fine."), [section], [], "sciddm"))


PROBE = """<script>window.addEventListener("load", () => {
  const root = document.querySelector("[data-viewer]"), canvas = root.querySelector("canvas");
  const fields = Object.fromEntries([...root.querySelectorAll("label")].map(
    (l) => [l.textContent.split(" ")[0].replace(/[0-9]/g, ""), l.querySelector("input, select")]));
  const row = () => [...canvas.getContext("2d").getImageData(0, 0, 8, 1).data]
    .filter((_, k) => k % 4 === 0);
  const set = (input, value) => { input.value = value;
    input.dispatchEvent(new Event("input")); return row(); };
  const told = { hidden: root.hidden, start: set(fields.Border, 50),
    after: set(fields.Border, 0), before: set(fields.Border, 100), last: set(fields.slice, 4),
    narrow: set(fields.Window, 20) };
  canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -1, cancelable: true }));
  told.wheel = fields.slice.value;
  told.paper = getComputedStyle(document.body).backgroundColor;
  document.title = JSON.stringify(told);
});</script>"""


def browse(text: str, folder: Path, *flags: str, probe: str = PROBE) -> dict:
    """What the probe says of a page, and what the browser's console said."""
    file = folder / "page.html"
    file.write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", *flags,
        file.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in run.stderr
    match = re.search(r"<title>(\{.*?\})</title>", run.stdout)
    assert match is not None, run.stdout[:200] + run.stderr[-500:]
    told: dict = json.loads(unescape(match[1]))
    return told


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser_the_sliders_change_the_image(tmp_path):
    low, high = np.full((5, 6, 8), 40.0), np.full((5, 6, 8), 200.0)
    low[4] = 100.0
    text = page(Layer("before", low), Layer("after", high))
    told = browse(text, tmp_path)
    assert told["hidden"] is False
    assert told["start"][:3] == [40] * 3
    assert told["start"][5:] == [200] * 3
    assert told["after"] == [200] * 8
    assert told["before"] == [40] * 8
    assert told["last"] == [100] * 8
    # Level 127.5 and window 20: 100 lies below 117.5.
    assert told["narrow"] == [0] * 8
    assert told["wheel"] == "3"
    dark = browse(text, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert told["paper"] == "rgb(251, 251, 250)"
    assert dark["paper"] == "rgb(21, 25, 29)"


def test_a_page_without_viewers_has_no_script():
    report = Report("t", "s", Verdict("good", "Fine."), [], [], "sciddm")
    assert "<script" not in render(report)

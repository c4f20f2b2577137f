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

from sciddm.geometry.display import Upright, upright, view
from sciddm.pipelines.engine.report.page import (
    Layer,
    Overlay,
    Report,
    Section,
    Space,
    Verdict,
    Viewer,
    render,
)
from sciddm.pipelines.engine.report.sprites import shrunk
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
    """The volumes (plane, row, column) whose planes are the tiles of the pictures."""
    pngs = re.findall(r"data:image/png;base64,([^\"]+)", block)
    (planes, rows, columns), across = about(block)["shape"], about(block)["across"]
    volumes = []
    for png in pngs:
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))
        places = [divmod(k, across) for k in range(planes)]
        volumes.append(np.stack([
            sheet[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns] for y, x in places
        ]))  # fmt: skip
    return volumes


def test_codes_are_the_values_to_half_a_step():
    viewer = Viewer("x", [Layer("a", stack()), Layer("b", 2 * stack())], (0, 510))
    told, (first, second) = about(viewer_block(viewer)), codes(viewer_block(viewer))
    assert told["views"][0]["labels"] == [f"slice {k} of 5" for k in range(1, 6)]
    assert told["shape"] == [5, 6, 8]
    [scale] = told["scales"]
    np.testing.assert_allclose(np.array(scale["levels"])[first], stack(), atol=1.0)
    np.testing.assert_array_equal(second, np.rint(np.clip(stack(), 0, 255)))


def test_presets_beyond_the_window_are_within_the_codes():
    """Half of the codes lie within the window of the start, where it is narrow."""
    viewer = Viewer("x", [Layer("a", stack())], (0, 100), presets={"wide": (-100, 900)})
    [scale] = about(viewer_block(viewer))["scales"]
    levels = np.array(scale["levels"])
    assert (levels[0], levels[-1]) == (-100, 900)
    assert np.sum((levels >= 0) & (levels <= 100)) in (127, 128, 129)
    assert (np.diff(levels) > 0).all()
    block = viewer_block(viewer)
    assert "steps of 0.78 to 7.1" in block
    values = levels[codes(block)[0]]
    near = stack() <= 100
    np.testing.assert_allclose(values[near], stack()[near], atol=0.5)
    np.testing.assert_allclose(values, stack(), atol=4)
    assert list(scale["presets"]) == ["Start", "wide"]


def test_the_window_of_the_start_keeps_its_name():
    viewer = Viewer("x", [Layer("a", stack())], (0, 100), presets={"soft": (0, 100)})
    [scale] = about(viewer_block(viewer))["scales"]
    assert list(scale["presets"]) == ["soft"]


def test_planes_of_a_patient_are_turned_and_lettered():
    viewer = Viewer("x", [Layer("a", stack())], (0, 255), view=view(np.eye(4)))
    block = viewer_block(viewer)
    np.testing.assert_array_equal(codes(block)[0][0], stack()[0, ::-1, ::-1])
    assert about(block)["views"][0]["letters"]["left"] == "R"


def test_a_large_volume_keeps_the_page_small_and_says_what_is_left_out():
    noise = np.random.default_rng(0).uniform(0, 1, (24, 400, 640)).astype(np.float32)
    block = viewer_block(Viewer("x", [Layer("a", noise), Layer("b", noise)], (0, 1), "HU"))
    assert len(block) < 1_100_000
    [view] = about(block)["views"]
    labels = view["labels"]
    shown = len(labels)
    assert 2 <= shown < 24
    assert f"{shown} of 24 slices" in block
    assert (labels[0], labels[-1]) == ("slice 1 of 24", "slice 24 of 24")
    assert view["aspect"] == pytest.approx(640 / 400)
    mean = noise[0].reshape(200, 2, 320, 2).mean((1, 3))
    np.testing.assert_allclose(codes(block)[0][0] / 255, mean, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("shape", [(700, 320, 320), (3, 7, 9), (1, 5, 4), (200, 256, 256)])
def test_no_picture_is_larger_than_browsers_draw(shape):
    """4096 x 4096 is what the smallest of them draws."""
    block = viewer_block(Viewer("x", [Layer("a", np.zeros(shape, np.float32))], (0, 1)))
    [png] = re.findall(r"data:image/png;base64,([^\"]+)", block)
    assert max(Image.open(io.BytesIO(base64.b64decode(png))).size) <= 4096


def test_a_volume_is_turned_upright_with_the_letters_of_its_planes():
    """Stored as x to the left, y to the head, z to the front: a dot right, above, in front."""
    affine = np.array([[-1.0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    volume = np.zeros((10, 8, 6), np.float32)  # (front, head, left)
    volume[9, 7, 0] = 1
    space = Space(upright(affine), (1.0, 2.0, 3.0), projected=0)
    block = viewer_block(Viewer("x", [Layer("a", volume)], (0, 1), space=space, start=(9, 7, 0)))
    told, [shown] = about(block), codes(block)
    assert told["shape"] == [8, 10, 6]  # head, front, right
    assert np.argwhere(shown).tolist() == [[0, 0, 0]]
    assert told["start"] == [0, 0, 0]
    names = [view["name"] for view in told["views"]]
    assert names == ["Axial", "Coronal", "Sagittal", "Maximum projection of a"]
    letters = ["".join(view["letters"].values()) for view in told["views"]]
    assert letters == ["RLAP", "RLSI", "APSI", "RLSI"]
    # Pixels are 2 mm from head to feet, 1 mm from front to back, 3 mm from right to left.
    aspects = [view["aspect"] for view in told["views"]]
    assert aspects == pytest.approx([18 / 10, 18 / 16, 10 / 16, 18 / 16])
    # Plane 1 from the head is the file's last.
    assert told["views"][0]["labels"][0] == "Axial 8 of 8"


def test_a_large_volume_shrinks_along_all_axes_and_keeps_its_means():
    noise = np.random.default_rng(0).normal(0.5, 0.2, (160, 200, 240)).astype(np.float32)
    space = Space(Upright(), (1.0, 1.0, 1.0))
    block = viewer_block(Viewer("x", [Layer("a", noise), Layer("b", noise)], (0, 1), space=space))
    assert len(block) < 1_800_000
    shape = about(block)["shape"]
    ratios = np.array([160, 200, 240]) / shape
    assert ratios.min() > 1.2
    assert ratios.max() / ratios.min() < 1.03
    assert codes(block)[0].mean() / 255 == pytest.approx(0.5, abs=0.005)


def test_means_of_boxes_that_end_within_an_entry():
    np.testing.assert_allclose(shrunk(np.array([1.0, 2, 3]), [2]), [4 / 3, 8 / 3])
    volume = np.random.default_rng(0).normal(size=(6, 9, 7))
    small = shrunk(volume, (4, 5, 7))
    assert small.shape == (4, 5, 7)
    np.testing.assert_allclose(small.mean(), volume.mean())
    np.testing.assert_allclose(shrunk(volume, (3, 3, 7))[0, 0], volume[:2, :3].mean((0, 1)))


def test_overlays_have_their_own_ends_and_what_is_not_finite_is_absent():
    heat = stack() / 100
    heat[0, 0, 0] = np.nan
    mask = (stack() > 300).astype(float)
    overlays = [Overlay("std", heat, (0, 5), "HU"), Overlay("mask", mask, colour="#ff0000", over=0)]
    block = viewer_block(Viewer("x", [Layer("a", stack())], (0, 510), overlays=overlays))
    told, (_, first, second) = about(block), codes(block)
    assert [o["unit"] for o in told["overlays"]] == ["HU", ""]
    assert [o["over"] for o in told["overlays"]] == [None, 0]
    assert first[0, 0, 0] == 0
    np.testing.assert_array_equal(first.ravel()[1:], np.rint(255 * heat / 5).ravel()[1:])
    np.testing.assert_array_equal(second, 255 * mask)
    assert len(base64.b64decode(told["heat"])) == 768


def test_planes_that_were_not_given_are_counted():
    block = viewer_block(Viewer("x", [Layer("a", stack())], (0, 510), plane="band", total=204))
    assert "5 of 204 bands" in block
    assert "The wheel changes the band." in block
    assert "wheel changes" not in viewer_block(Viewer("x", [Layer("a", stack(1))], (0, 510)))


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
    (l) => [l.textContent.trim().split(" ")[0], l.querySelector("input, select")]));
  const row = () => [...canvas.getContext("2d").getImageData(0, 0, 8, 1).data]
    .filter((_, k) => k % 4 === 0);
  const set = (input, value) => { input.value = value;
    input.dispatchEvent(new Event("input")); return row(); };
  const told = { hidden: root.hidden, start: set(fields.Border, 50),
    after: set(fields.Border, 0), before: set(fields.Border, 100), last: set(fields.slice, 4),
    narrow: set(fields.Window, 20) };
  canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -1, cancelable: true, bubbles: true }));
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

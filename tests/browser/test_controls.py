"""Controls of a page on a small study: zoom, planes, overlays, windows, clips, spectra."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciddm.geometry.display import Letters, upright
from sciddm.pipelines.engine.report.page import (
    FlagMarks,
    Layer,
    Overlay,
    Panel,
    Report,
    Scale,
    Section,
    Space,
    Spectra,
    Verdict,
    Viewer,
    render,
)
from tests.browser.test_reports import opened, same, send, shown

AXIAL = Letters("R", "L", "A", "P")


def cube() -> np.ndarray:
    """(z, y, x) of a patient, stored from feet to head, front to back, right to left."""
    volume = np.zeros((10, 12, 14), np.float32)
    volume[7, 2, 3] = 90
    volume[2, 9, 11] = 60
    return volume


def study() -> Viewer:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    pet = cube()
    return Viewer(
        "Explore the study",
        [Layer("CT", 0 * pet, Scale((-160, 240), "HU", {"Bone": (-500, 1300)})),
         Layer("PET", pet, Scale((0, 100), "SUV", inverse=True))],
        (0, 100),
        overlays=[Overlay("PET over CT", pet, (0, 100), "SUV", over=0),
                  Overlay("Mask", (pet > 50) * 1.0, colour="#59ff8c")],
        space=Space(upright(affine), (1, 1, 1), projected=1),
        start=(7, 2, 3),
    )  # fmt: skip


def spectra() -> Spectra:
    band, line, sample = np.mgrid[:5, :4, :4].astype(float)
    estimate = 10 * band + line + 0.1 * sample
    flags = np.zeros((5, 4, 4), np.uint8)
    flags[3] = 2
    before = estimate + np.where(band == 1, 8.0, 0.5)
    before[4, 0, 0] = np.nan
    return Spectra(
        "Spectra", np.full((8, 8, 3), 0.5), np.arange(0, 8, 2), np.arange(0, 8, 2), (8, 8), before,
        estimate, np.linspace(400, 800, 5), "wavelength / nm", "radiance / W", 0 * estimate + 2,
        flags, [FlagMarks("stuck", 2, "#ffd166")],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ramp = np.mgrid[:40, :40][1] / 40.0
    panels = [Panel(name, ramp, (0, 1), "a", letters=AXIAL) for name in ("Before", "After")]
    panels.append(Panel("k-space", ramp, (0, 1), axes=("ky", "kx")))
    frames = np.arange(4.0)[:, None, None] * np.ones((4, 6, 6)) * 60
    clip = Viewer("Clip", [Layer("a", frames)], (0, 200), plane="frame", moves=20)
    report = Report(
        "t", "s", Verdict("good", "Fine."),
        [Section("Panels", panels),
         Section("Explore", [], viewers=[study(), clip], spectra=[spectra()])],
        [], "sciddm",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("controls") / "page.html"
    path.write_text(render(report), encoding="utf-8")
    return path


def by(browser: Any, css: str, root: Any = None) -> list[Any]:
    from selenium.webdriver.common.by import By

    return list((root or browser).find_elements(By.CSS_SELECTOR, css))


def button(root: Any, name: str) -> Any:
    [one] = [b for b in by(None, "button", root) if name in (b.text, b.get_attribute("aria-label"))]
    return one


def click(browser: Any, element: Any) -> None:
    browser.execute_script("arguments[0].click()", element)


def boxes(browser: Any, root: Any) -> list[bool]:
    return [b.is_selected() for b in by(browser, "input[type=checkbox]", root)]


def test_panels_zoom_and_move_together(browser, page):
    from selenium.webdriver.common.keys import Keys

    opened(browser, page)
    [group] = by(browser, "[data-zoom]")
    lenses = by(browser, ".lens", group)
    assert len(lenses) == 2  # the third shows no place

    def moved() -> list[str]:
        return [c.get_attribute("style") for c in by(browser, ".lens > .copy", group)]

    start = moved()
    click(browser, button(group, "Zoom in"))
    lenses[0].send_keys("+")
    near = moved()
    assert near[0] == near[1] != start[0]
    assert "scale(2.25)" in near[0]
    lenses[1].send_keys(Keys.ARROW_RIGHT)
    right = moved()
    assert right[0] == right[1] != near[0]
    letters = [mark.text for mark in by(browser, ".letter", lenses[0])]
    assert letters == list(AXIAL)
    box = lenses[0].rect
    browser.execute_script(
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -1, ctrlKey: true,"
        "bubbles: true, cancelable: true, clientX: arguments[1], clientY: arguments[2]}))",
        lenses[0], box["x"], box["y"],
    )  # fmt: skip
    assert "scale(2.8125)" in moved()[1]
    lenses[0].send_keys("0")
    assert moved() == start
    assert not by(browser, ".lens.zoomed", group)


def test_planes_of_three_directions_follow_one_place(browser, page):
    opened(browser, page)
    viewer = by(browser, "[data-viewer]")[0]
    canvases = by(browser, "canvas", viewer)
    assert len(canvases) == 4
    border = next(
        s for s in by(browser, "input[type=range]", viewer)
        if "Border" in s.find_element("xpath", "..").text
    )  # fmt: skip
    send(browser, border, 0)  # PET alone: black where the uptake is
    for box in by(browser, "input[type=checkbox]", viewer):
        if box.is_selected():
            click(browser, box)

    def darkest() -> list[tuple[int, int]]:
        found = []
        for canvas in canvases:
            image = shown(browser, canvas)[..., 0]
            row, column = np.unravel_index(int(image.argmin()), image.shape)
            found.append((int(row), int(column)))
        return found

    # (z, y, x) = (7, 2, 3) of 10, 12, 14, the head on top: row 10 - 1 - 7.
    assert darkest() == [(2, 3), (2, 3), (2, 2), (2, 3)]
    letters = ["".join(mark.text for mark in by(browser, ".letter", face))
               for face in by(browser, ".face", viewer)]  # fmt: skip
    assert letters == ["RLAP", "RLSI", "APSI", "RLSI"]
    # A click on the weaker spot in the projection brings all planes there.
    browser.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "for (const name of ['pointerdown', 'pointerup']) arguments[0].dispatchEvent("
        "new PointerEvent(name, {bubbles: true, pointerId: 1, clientX: box.left + box.width * 11.5"
        " / 14, clientY: box.top + box.height * 7.5 / 10}))",
        canvases[3],
    )
    assert darkest()[:3] == [(9, 11), (7, 11), (7, 9)]
    text = by(browser, ".face label span", viewer)
    assert [t.text for t in text] == ["Axial 3 of 10", "Coronal 10 of 12", "Sagittal 12 of 14"]


def test_overlays_switch_and_show_their_scale(browser, page):
    opened(browser, page)
    viewer = by(browser, "[data-viewer]")[0]
    canvas = by(browser, "canvas", viewer)[0]
    first = shown(browser, canvas)
    assert (first[..., 0] == first[..., 1]).all()
    fusion, mask, lines = by(browser, "input[type=checkbox]", viewer)
    click(browser, fusion)
    fused = shown(browser, canvas)
    # Uptake at (2, 3) in the half of CT glows, the weaker one on the side of PET does not.
    assert fused[2, 3, 0] > fused[2, 3, 2] + 20
    legend = [x.text for x in by(browser, ".legend", viewer) if x.is_displayed()]
    assert legend == ["0100 SUV"]
    click(browser, fusion)
    click(browser, mask)
    masked = shown(browser, canvas)
    assert masked[2, 3, 1] > masked[2, 3, 0] + 40
    click(browser, mask)
    assert same(shown(browser, canvas), first)
    click(browser, lines)
    assert any(line.is_displayed() for line in by(browser, ".cross", viewer))


def test_dragging_changes_the_window_and_a_preset_sets_it(browser, page):
    opened(browser, page)
    viewer = by(browser, "[data-viewer]")[0]
    canvas = by(browser, "canvas", viewer)[0]

    def words() -> list[str]:
        spans = [s.text for s in by(browser, ".controls label span", viewer)]
        return [s for s in spans if s.endswith("(CT)")]

    assert words() == ["Level 40 HU (CT)", "Window 400 HU (CT)"]
    browser.execute_script(
        "const box = arguments[0].getBoundingClientRect();"
        "const move = new PointerEvent('pointermove', {bubbles: true, buttons: 1,"
        "clientX: box.left + 5, clientY: box.top + 5, movementX: 20, movementY: 10});"
        "arguments[0].dispatchEvent(move)",
        canvas,
    )
    level, width = words()
    assert level != "Level 40 HU (CT)"
    assert width != "Window 400 HU (CT)"
    click(browser, button(viewer, "Bone"))
    assert words() == ["Level 400 HU (CT)", "Window 1800 HU (CT)"]


def test_a_clip_stands_still_until_it_is_played_and_can_be_paused(browser, page):
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, page)
    clip = by(browser, "[data-viewer]")[1]
    slider = by(browser, "input[type=range]", clip)[0]
    start = slider.get_attribute("value")
    play = button(clip, "Play")
    click(browser, play)
    WebDriverWait(browser, 10).until(lambda _: slider.get_attribute("value") != start)
    assert play.text == "Pause"
    click(browser, play)
    browser.execute_async_script(
        "const done = arguments[1], before = arguments[0].value;"
        "setTimeout(() => done(arguments[0].value === before), 200)", slider,
    )  # fmt: skip
    assert play.text == "Play"


def test_a_spectrum_is_read_by_keys_and_tells_its_values(browser, page):
    from selenium.webdriver.common.keys import Keys

    opened(browser, page)
    [block] = by(browser, "[data-spectra]")
    stage, told = by(browser, ".stage", block)[0], by(browser, "output", block)[0]
    [slider] = by(browser, "input[type=range]", block)
    stage.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_RIGHT)
    send(browser, slider, 3)
    # Line 0, sample 3 of the grid, pixels 0 and 6; estimate 30.3, deviation 2.
    assert told.text.startswith("Line 0, sample 6. Band 4 (wavelength 700 nm): ")
    values = [float(v) for v in re.findall(r"-?\d+\.?\d*", told.text.partition("): ")[2])]
    before, estimate, _, low, high = values
    assert estimate == pytest.approx(30.3, abs=0.06)
    assert before == pytest.approx(30.8, abs=0.1)
    assert (low, high) == pytest.approx((30.3 - 3.29, 30.3 + 3.29), abs=0.1)
    assert told.text.endswith("flags: stuck.")
    send(browser, slider, 1)
    assert float(told.text.partition("before ")[2].split(",")[0]) == pytest.approx(18.3, abs=0.1)
    assert "flags" not in told.text
    send(browser, slider, 4)
    stage.send_keys(*[Keys.ARROW_LEFT] * 4)
    assert "before –" in told.text  # absent
    picture = by(browser, "canvas", block)[0]
    first = shown(browser, picture)
    stage.send_keys(Keys.ARROW_DOWN)
    assert not same(shown(browser, picture), first)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_controls_break_no_rule_and_fit_a_phone(browser, page, scheme):
    axe = pytest.importorskip("axe_core_python.selenium", reason="pip install axe-core-python")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        opened(browser, page)
        for box in by(browser, "input[type=checkbox]"):
            if not box.is_selected():
                click(browser, box)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        violations = axe.Axe().run(browser)["violations"]
        assert [f"{v['id']}: {n['html'][:120]}" for v in violations for n in v["nodes"]] == []
        assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

"""Reports in a browser: what moves, what is said to a screen reader, and that nothing fails."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import CASES


def shown(browser: Any, canvas: Any) -> np.ndarray:
    """A canvas's pixels, (rows, columns, 4)."""
    url = browser.execute_script("return arguments[0].toDataURL()", canvas)
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image, float)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two pictures are the same: a slider rounds what it is given."""
    return bool(abs(a - b).max() <= 1)


def opened(browser: Any, path: Any) -> None:
    browser.get_log("browser")  # of pages before
    browser.get(path.as_uri())


def send(browser: Any, element: Any, value: float) -> None:
    """Moves a slider as a hand does: its value, then the event."""
    browser.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        element,
        value,
    )


@pytest.mark.parametrize("domain", CASES)
def test_a_page_has_no_error_and_no_violation(browser, report, domain):
    """No message on the console, nothing from the network, no rule of axe broken."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="pip install axe-core-python")
    opened(browser, report(domain))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    outside = browser.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(n => !n.startsWith('data:') && !n.startsWith('file:') && !n.startsWith('blob:'))"
    )
    assert outside == []
    violations = axe.Axe().run(browser)["violations"]
    told = [
        f"{v['id']}: {v['help']}: {node['html'][:120]}" for v in violations for node in v["nodes"]
    ]
    assert told == []


@pytest.mark.parametrize("domain", CASES)
def test_dark_is_not_light(browser, report, domain):
    colours = []
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        opened(browser, report(domain))
        colours.append(
            browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    light, dark = ([int(c) for c in colour[4:-1].split(",")[:3]] for colour in colours)
    assert sum(light) > 600
    assert sum(dark) < 200


@pytest.mark.parametrize("domain", CASES)
def test_a_page_reads_without_scripts(browser, report, domain):
    """The verdicts and the pictures are there; controls without a function are not."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, report(domain))
        from selenium.webdriver.common.by import By

        text = browser.find_element(By.TAG_NAME, "body").text
        assert "fits the data" in text.lower()
        for viewer in browser.find_elements(By.CSS_SELECTOR, "[data-viewer]"):
            assert not viewer.is_displayed()
        assert [e for e in browser.find_elements(By.TAG_NAME, "img") if e.is_displayed()]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("domain", ["mri", "ct", "petct", "hsi", "ultrasound"])
def test_a_viewer_moves(browser, report, domain):
    """Border, window and, of a stack, slider, wheel and keys change what is seen."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    opened(browser, report(domain))
    viewer = browser.find_element(By.CSS_SELECTOR, "[data-viewer]")
    assert viewer.is_displayed()
    canvas = viewer.find_element(By.TAG_NAME, "canvas")
    sliders = viewer.find_elements(By.CSS_SELECTOR, "input[type=range]")
    names = [s.find_element(By.XPATH, "..").text for s in sliders]
    first = shown(browser, canvas)

    border = next(s for s, name in zip(sliders, names, strict=True) if name.startswith("Border"))
    send(browser, border, 0)
    right = shown(browser, canvas)
    send(browser, border, 100)
    left = shown(browser, canvas)
    assert not same(left, right)
    assert not same(left, first)
    assert not same(right, first)
    send(browser, border, 50)

    window = next(s for s, name in zip(sliders, names, strict=True) if name.startswith("Window"))
    wide = float(window.get_attribute("value"))
    send(browser, window, wide / 2)
    assert not same(shown(browser, canvas), first)
    send(browser, window, wide)
    assert same(shown(browser, canvas), first)

    plane = sliders[0]
    if names[0].startswith(("Border", "Level")):
        return  # one plane
    label = names[0]
    last = plane.get_attribute("value") == plane.get_attribute("max")
    plane.send_keys(Keys.ARROW_LEFT if last else Keys.ARROW_RIGHT)
    by_key = plane.find_element(By.XPATH, "..").text
    assert by_key != label
    assert plane.get_attribute("aria-valuetext") == by_key
    browser.execute_script(
        "arguments[0].dispatchEvent(new WheelEvent("
        "'wheel', {deltaY: arguments[1], cancelable: true, bubbles: true}))",
        canvas,
        1 if last else -1,
    )
    assert plane.find_element(By.XPATH, "..").text == label
    assert same(shown(browser, canvas), first)


def test_audio_switches_in_sync(browser, report):
    """The one that is chosen goes on where the other one was."""
    from selenium.webdriver.common.by import By

    opened(browser, report("speech"))
    players = browser.find_elements(By.TAG_NAME, "audio")
    assert len(players) >= 2
    browser.execute_script("arguments[0].currentTime = 0.25", players[0])
    buttons = browser.find_elements(By.CSS_SELECTOR, "[data-switch] button")
    assert len(buttons) >= 2
    browser.execute_script("arguments[0].click()", buttons[1])
    times = [browser.execute_script("return arguments[0].currentTime", p) for p in players[:2]]
    assert abs(times[0] - times[1]) < 0.05
    assert buttons[1].get_attribute("aria-pressed") == "true"
    assert buttons[0].get_attribute("aria-pressed") == "false"

"""A headless browser, and a report of every domain, made once from tiny generated files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fingerprint_inputs import INPUTS
from sciddm.pipelines.domains import load_domain

#: Domain -> verb, its input among the generated files, and its options.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mri": ("reconstruct", "full.h5", {"undersample": 2.0}),
    "ct": ("denoise", "low", {}),
    "petct": ("segment", "pet", {"ct": "ct"}),
    "hsi": ("denoise", "scene.hdr", {}),
    "speech": ("enhance", "noisy.wav", {}),
    "ultrasound": ("dehaze", "hazy.h5", {}),
}
_BINARIES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a screen and without a network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    found = next((path for name in _BINARIES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if found is None or driver is None:
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for word in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync",
                 "disable-background-networking", "disable-component-update",
                 "window-size=1200,1600", "allow-file-access-from-files"):  # fmt: skip
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    session = webdriver.Chrome(options=options, service=service)
    yield session
    session.quit()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """domain -> path of its report."""
    made: dict[str, Path] = {}

    def of(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            INPUTS[name](folder)
            verb_name, source, options = CASES[name]
            verb = next(v for v in load_domain(name).verbs if v.name == verb_name)
            paths = {k: folder / v if isinstance(v, str) else v for k, v in options.items()}
            result = verb.call((folder / source,), {"quality": "fast", "seed": 0, **paths})
            made[name] = result.report(folder / "report.html")
        return made[name]

    return of

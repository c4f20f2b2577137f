"""The page of a batch: every row without a script; sorting and filters with one."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_viewer import CHROMIUM, browse

from sciddm.errors import InputError
from sciddm.pipelines.engine.report.batch import batch_page
from sciddm.pipelines.engine.report.page import Chart, Curve, Panel, Report, Section, Verdict
from sciddm.pipelines.engine.report.picture import picture
from sciddm.pipelines.engine.results.row import JUDGED

ROWS = [
    {"output": "a.txt", "status": "done", "psnr_db": 9.5, "fits": "yes", "seconds": 2.0,
     "figures": ["psnr_db"], "page": "sub/a b.html", "warnings": [], "verb": "toy smooth"},
    {"output": "b.txt", "status": "done", "psnr_db": 30.0, "fits": "no", "seconds": 1.0,
     "figures": ["psnr_db"], "warnings": ["Residual 3.1 times the noise."], "verb": "toy smooth"},
    {"output": "c.txt", "status": "done", "psnr_db": 120.0, "fits": "no", "seconds": 1.0,
     "figures": ["psnr_db"], "warnings": ["Residual 4 times the noise.", "x|y"]},
    {"output": "<b>d", "status": "failed", "error": "<script>alert(1)</script>", "warnings": []},
]  # fmt: skip

PROBE = """<script>window.addEventListener("load", () => {
  const names = () => [...document.querySelectorAll("tbody tr")].filter((r) => !r.hidden)
    .map((r) => r.querySelector("th").textContent[0]);
  const click = (text) => [...document.querySelectorAll("thead button")]
    .find((b) => b.textContent === text).click();
  const choose = (name, value) => {
    const field = document.querySelector(`.filters [name=${name}]`);
    field.value = value;
    field.dispatchEvent(new Event("input"));
  };
  const told = { shown: !document.querySelector(".filters").hidden, start: names() };
  click("psnr db"); told.rising = names();
  click("psnr db"); told.falling = names();
  told.sort = document.querySelector("[aria-sort]").getAttribute("aria-sort");
  choose("fits", "no"); told.no = names();
  choose("warning", "x/y"); told.both = names();
  choose("fits", ""); choose("warning", "none"); told.none = names();
  choose("warning", "Residual # times the noise."); told.kind = names();
  choose("warning", ""); choose("text", "4 TIMES"); told.text = names();
  told.count = document.querySelector(".filters output").textContent;
  told.hash = location.hash;
  document.title = JSON.stringify(told);
});</script>"""


def test_without_a_script_the_page_is_a_table_with_all_rows() -> None:
    text = batch_page(ROWS, "out <1>", JUDGED)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert text.count("<tr") == 1 + len(ROWS)
    assert '<a href="sub/a%20b.html">a.txt</a>' in text
    assert "out &lt;1&gt;" in text
    assert "3 done, 1 failed" in text
    assert 'class="filters" hidden' in text
    heads = re.findall(r'<th scope="col">(?:<button[^>]*>)?([^<]*)', text)
    assert heads == ["result", "fits", "warnings", "psnr db", "seconds"]
    for line in re.findall(r"<tr data.*?</tr>", text):
        assert len(re.findall(r"<t[dh]\b", line)) == len(heads)
    assert "http" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser_headings_sort_and_fields_filter(tmp_path: Path) -> None:
    told = browse(batch_page(ROWS, "out", JUDGED), tmp_path, probe=PROBE)
    assert told["shown"] is True
    assert told["start"] == ["a", "b", "c", "<"]
    assert told["rising"] == ["a", "b", "c", "<"]  # by number, empty cells last
    assert told["falling"] == ["c", "b", "a", "<"]
    assert told["sort"] == "descending"
    assert told["no"] == ["c", "b"]
    assert told["both"] == ["c"]
    assert told["none"] == ["a", "<"]
    assert told["kind"] == ["c", "b"]
    assert told["text"] == ["c"]
    assert told["count"] == "1 of 4"
    assert told["hash"] == "#text=4+TIMES"


def test_a_picture_shows_the_first_panels_in_their_windows() -> None:
    ramp = np.linspace(0, 2, 40 * 80).reshape(40, 80)
    panels = [
        Panel("Before", ramp, (0.0, 1.0), pixel_mm=(1.0, 0.5)),
        Panel("After", np.full((8, 8), 5.0), (0.0, 10.0)),
        Panel("Never", ramp, (0, 1)),
    ]
    curve = Chart("c", [Curve("c", np.arange(3.0), np.arange(3.0))], "x", "y")
    sections = [Section("Curves", [curve]), Section("Images", panels)]
    content = picture(Report("t", "s", Verdict("good", "Fine."), sections, [], "sciddm"))
    assert content is not None
    image = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float)
    assert image.shape == (88, 88 + 2 + 88)  # 40 mm x 40 mm, and a square
    assert image[0, 0] < 10  # row 0 on top
    assert image[80, 40] > 245  # beyond the window
    assert abs(image[44, 130] - 127.5) < 4
    assert picture(Report("t", "s", Verdict("good", "Fine."), sections[:1], [], "x")) is None


def test_a_picture_has_the_colours_of_the_page() -> None:
    """What is high in inverse grey is black, in heat it is light."""
    for colours, dark in (("inverse", True), ("heat", False), ("grey", False)):
        panel = Panel("PET", np.full((8, 8), 10.0), (0.0, 10.0), colours=colours)
        report = Report("t", "s", Verdict("good", "F."), [Section("I", [panel])], [], "x")
        content = picture(report)
        assert content is not None
        mean = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=float).mean()
        assert (mean < 20) == dark, colours


def test_whole_numbers_keep_their_digits() -> None:
    text = batch_page([{**ROWS[0], "rate_hz": 16000, "figures": ["rate_hz", "psnr_db"]}], "o", ())
    assert ">16000</td>" in text
    assert ">9.5</td>" in text


def test_a_batch_with_reports_has_a_page(toy: Callable[..., object], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("1\n2\n3\n4\n5\n6\n")
    sources = (tmp_path / "a.txt", tmp_path / "b.txt")
    toy("smooth", *sources, "-o", tmp_path / "plain")
    assert not (tmp_path / "plain" / "index.html").exists()
    toy("smooth", *sources, "-o", tmp_path / "out", "--report")
    text = (tmp_path / "out" / "index.html").read_text()
    assert '<a href="a.html">a.txt</a>' in text
    (tmp_path / "index.txt").write_text("1\n2\n3\n4\n")
    with pytest.raises(InputError, match="rename the input"):
        toy("smooth", tmp_path / "index.txt", sources[0], "-o", tmp_path / "more", "--report")


def test_pictures_stand_in_the_table() -> None:
    row = {**ROWS[0], "picture": base64.b64encode(b"jpeg").decode()}
    text = batch_page([row, ROWS[1]], "out", JUDGED)
    assert text.count("<img") == 1
    assert 'alt="input and estimate of a.txt" src="data:image/jpeg;base64,anBlZw=="' in text
    for line in re.findall(r"<tr data.*?</tr>", text):
        assert len(re.findall(r"<t[dh]\b", line)) == 6

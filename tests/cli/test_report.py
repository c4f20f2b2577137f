"""The page: self-contained, safe, and its images show the values they are given."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from cli_helpers import FakePipeline, object_kspace
from PIL import Image

from sciddm.errors import OutputError
from sciddm.geometry.display import Letters
from sciddm.pipelines.engine.report.page import (
    Chart,
    Curve,
    Panel,
    Report,
    Section,
    Table,
    Verdict,
    grey_window,
    render,
    write,
)
from sciddm.pipelines.engine.report.panels import draw
from sciddm.pipelines.mri.page import mri_page, verdict


def page_of(panel: Panel | Chart) -> str:
    return render(
        Report(
            title="<b>title</b> & more",
            subtitle="scan",
            verdict=Verdict("good", "fine"),
            sections=[Section("Images", [panel])],
            tables=[Table("Numbers", [["PSNR", "31 dB"]])],
            command='sciddm mri reconstruct "a<b>.h5" -o c.nii',
        )
    )


def pixels_of(page: str) -> np.ndarray:
    """The first image of a page, (rows, columns, 3) in 0..1."""
    found = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert found is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")) / 255


class Page(HTMLParser):
    """Collects tags, and addresses a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [v or "" for k, v in attrs if k in ("src", "href", "data", "action")]


def test_nothing_is_loaded_from_anywhere_and_text_is_only_text() -> None:
    text = page_of(Panel("<script>alert(1)</script>", np.ones((8, 8)), (0, 1), "%"))
    page = Page(text)
    assert page.tags.count("script") == 1  # that of the zoom
    assert "<script>alert" not in text
    assert "b" not in page.tags
    assert page.tags.count("img") == 1
    assert all(address.startswith("data:image/png") for address in page.loaded)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "a&lt;b&gt;.h5" in text


@pytest.mark.parametrize(("value", "shown"), [(-1.0, 0.0), (0.0, 0.0), (2.5, 0.25), (99.0, 1.0)])
def test_grey_is_linear_in_the_window(value: float, shown: float) -> None:
    image = np.full((40, 40), value)
    pixels = pixels_of(page_of(Panel("x", image, (0.0, 10.0))))
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
    np.testing.assert_allclose(middle, shown, atol=1 / 200)


def test_row_0_is_on_top_and_column_0_left() -> None:
    image = np.zeros((40, 40))
    image[:20, :20] = 1
    pixels = pixels_of(page_of(Panel("x", image, (0.0, 1.0))))[..., 0]
    rows, columns = pixels.shape
    corners = pixels[rows // 4 :: rows // 2, columns // 4 :: columns // 2][:2, :2]
    np.testing.assert_allclose(corners, [[1, 0], [0, 0]], atol=0.01)


def test_nothing_looks_like_nothing_in_a_signed_panel() -> None:
    pixels = pixels_of(page_of(Panel("x", np.zeros((40, 40)), (-1.0, 1.0), colours="signed")))
    assert pixels.max() < 0.03


def test_curves_lie_at_their_values() -> None:
    """The second curve is above the first, and as long as its finite values reach."""
    x = np.linspace(0, 1, 50)
    low, high = Curve("low", x, 0.2 * np.ones(50)), Curve("<high>", x, np.where(x > 0.5, np.nan, 1))
    pixels = pixels_of(page_of(Chart("x", [low, high], "f", "power", from_zero=True)))
    strength = pixels.max(-1) - pixels.min(-1)  # the frame, the axes and the text are grey
    coloured = strength > 0.25
    rows = np.flatnonzero(coloured.sum(1) > 60)
    top, bottom = rows.min(), rows.max()
    assert top < bottom
    height = pixels.shape[0] * 0.75
    assert (bottom - top) / height == pytest.approx(0.8 / 1.05, abs=0.1)
    lengths = [coloured[row].sum() for row in (top + 1, bottom - 1)]
    assert lengths[0] / lengths[1] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(("dy", "dx", "length_mm"), [(1.0, 1.0, 20.0), (0.5, 2.0, 20.0)])
def test_the_scale_bar_has_its_length(dy: float, dx: float, length_mm: float) -> None:
    columns = round(100 / dx)
    panel = Panel("x", np.zeros((round(100 / dy), columns)), (0, 1), pixel_mm=(dy, dx))
    pixels = pixels_of(page_of(panel)).min(-1)
    rows = pixels[round(0.955 * len(pixels)) : round(0.97 * len(pixels))]
    longest = max(int((row > 0.5).sum()) for row in rows)
    assert longest / pixels.shape[1] * 100 == pytest.approx(length_mm, abs=1.0)


def test_pixels_that_are_not_square_are_drawn_so() -> None:
    tall = pixels_of(page_of(Panel("x", np.ones((30, 30)), (0, 1), pixel_mm=(1.2, 1.0))))
    assert tall.shape[0] / tall.shape[1] == pytest.approx(1.2, rel=0.01)


def test_letters_stand_at_the_edges_of_the_image_and_nowhere_else() -> None:
    """White ink on black in the middle of the four edges; which letter is drawn as it is told."""
    blank = np.zeros((60, 60))
    without = pixels_of(page_of(Panel("x", blank, (0, 1))))
    drawn = pixels_of(page_of(Panel("x", blank, (0, 1), letters=Letters("R", "L", "A", "P"))))
    assert without.max() < 0.01
    n = len(drawn) // 3
    ink = drawn.max(-1).reshape(3, n, 3, n).max(axis=(1, 3)) > 0.9
    np.testing.assert_array_equal(ink, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    mirrored = pixels_of(page_of(Panel("x", blank, (0, 1), letters=Letters("L", "R", "A", "P"))))
    np.testing.assert_array_equal(mirrored[:n], drawn[:n])
    assert (mirrored[n : 2 * n] != drawn[n : 2 * n]).any()


def test_a_noisy_panel_is_small_and_its_grey_exact() -> None:
    """512 x 512 pixels of noise: 8 bits a pixel, no wider than a page shows."""
    noise = np.random.default_rng(0).normal(0.5, 0.1, (512, 512))
    png = draw(Panel("x", noise, (0, 1), "HU", pixel_mm=(1, 1)))
    picture = Image.open(io.BytesIO(png))
    assert len(png) < 0.8 * picture.width * picture.height
    assert picture.mode == "L"
    assert picture.width < 512
    heat = Image.open(io.BytesIO(draw(Panel("x", noise, (0, 1), colours="heat"))))
    assert heat.mode == "P"
    colours = Image.open(io.BytesIO(draw(Panel("x", np.tile([1.0, 0.5, 0], (9, 9, 1)), (0, 1)))))
    assert colours.convert("RGB").getpixel((200, 200)) == (255, 127, 0)


def test_grey_window_is_the_percentile_of_finite_values() -> None:
    image = np.arange(1001.0)
    image[0] = np.nan
    assert grey_window(image) == pytest.approx((0.0, np.percentile(image[1:], 99.5)))
    assert grey_window(np.zeros((3, 3))) == (0.0, 1.0)
    assert grey_window(np.full((3, 3), np.nan)) == (0.0, 1.0)


def test_write_keeps_what_is_there(tmp_path: Path) -> None:
    report = Report("t", "s", Verdict("good", "fine"), [], [], "sciddm")
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        write(report, path)
    assert path.read_text() == "mine"
    write(report, path, overwrite=True)
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(OutputError, match="cannot be written"):
        write(report, tmp_path / "no" / "r.html")


def reconstructed(slices: int = 1) -> tuple[xr.Dataset, xr.Dataset]:
    kspace = np.repeat(object_kspace(), slices, axis=0)
    kspace[..., ::2, :] = 0
    attrs = {"source": "scan.h5", "voxel_size_mm": [4.0, 2.0, 2.0]}
    scan = xr.Dataset({"kspace": (("slice", "coil", "ky", "kx"), kspace)}, attrs=attrs)
    result = FakePipeline()(
        scan,
        samples=None,
        seed=0,
        quality="fast",
        noise_std=None,
        keep_samples=False,
        progress=lambda *_: None,
    )
    return scan, result


@pytest.mark.parametrize(
    ("attrs", "level", "said"),
    [
        ({"consistency": 1.0, "warnings": "[]"}, "good", "1.00 times the noise"),
        ({"consistency": 1.6, "contradicts": 1, "warnings": "[]"}, "contradiction", "contradicts"),
        ({"consistency": 1.6, "warnings": []}, "contradiction", "Do not trust"),
        ({"consistency": 1.0, "warnings": '["Unlike the training data."]'}, "doubtful", "remarks"),
        ({"warnings": "[]"}, "doubtful", "not measured"),
    ],
)
def test_verdict(attrs: dict[str, object], level: str, said: str) -> None:
    found = verdict(xr.Dataset(attrs=attrs))
    assert found.level == level
    assert said in found.headline
    if level == "doubtful" and attrs.get("consistency"):
        assert list(found.remarks) == ["Unlike the training data."]


def test_mri_page_shows_each_image_in_units_of_white() -> None:
    _, result = reconstructed()
    reference = 1.25 * result["reconstruction"]
    result = result.assign(reference=reference)
    report = mri_page(None, result)
    panels = {panel.title: panel for panel in report.sections[0].panels}
    assert list(panels) == [
        "Zero-filled",
        "Reconstruction",
        "Reference",
        "Standard deviation",
        "Reconstruction − reference",
        "k-space residual",
        "Sampling mask",
    ]
    image = result["reconstruction"].values[0]
    white = np.percentile(image, 99.5)
    np.testing.assert_allclose(panels["Reconstruction"].image, 100 * image / white, rtol=1e-5)
    np.testing.assert_allclose(
        panels["Reconstruction − reference"].image, -25 * image / white, rtol=1e-4, atol=1e-6
    )
    assert panels["Sampling mask"].image.mean() == 0.5
    assert panels["Reconstruction"].pixel_mm == (2.0, 2.0)
    assert np.isnan(panels["k-space residual"].image[0]).all()
    numbers = {row[0]: row[1] for row in report.tables[0].rows}
    assert numbers["acceleration"] == "2.00"
    assert numbers["voxel (z, y, x)"] == "4 x 2 x 2 mm"


def test_a_volume_shows_three_slices_and_its_common_mask_once() -> None:
    _, result = reconstructed(slices=8)
    report = mri_page(None, result)
    titles = [f"Slice {n} of 8" for n in (3, 5, 7)]
    assert [s.title for s in report.sections] == [*titles, "Explore"]
    titles = [panel.title for section in report.sections for panel in section.panels]
    assert titles.count("Sampling mask") == 1
    assert titles.count("Reconstruction") == 3

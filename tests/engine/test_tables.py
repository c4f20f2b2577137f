"""Tables on a terminal of 60 columns: no word is broken into letters."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.summary import Fact, distinct, show
from sciddm.pipelines.engine.tables import print_rows
from sciddm.uncertainty.verdict import Verdict

HEADER = ["scan", "PSNR / dB", "SSIM"]


def printed(width: int, *rows: list[str], header: list[str] = HEADER, **options) -> list[str]:
    buffer = io.StringIO()
    console = Console(file=buffer, width=width)
    print_rows(console, header, rows, **options)
    return [line.rstrip() for line in buffer.getvalue().splitlines()]


def test_columns_where_they_fit():
    assert printed(60, ["a", "31.25", "0.9"], ["mean", "31.25", "0.9"]) == [
        "scan  PSNR / dB  SSIM", "a         31.25   0.9", "mean      31.25   0.9",
    ]  # fmt: skip


def test_blocks_where_they_do_not():
    assert printed(20, ["a", "31.25", ""], ["b", "30.00", "0.9"]) == [
        "a", "  PSNR / dB  31.25", "", "b", "  PSNR / dB  30.00", "  SSIM       0.9",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_batch_is_readable_at_any_width(width):
    facts = {
        k: Fact(k, f"a long name of fact {k}", 1, f"value {k}") for k in ("one", "two", "three")
    }
    done = Outcome(
        Job(Path("in/scan_of_a_head.h5"), Path("out/scan_of_a_head.nii.gz")),
        "done", 3.21, facts=facts, verdict=Verdict(),
    )  # fmt: skip
    failed = Outcome(Job(Path("bad.h5"), Path("bad.nii.gz")), "failed", error="it is truncated")
    buffer = io.StringIO()
    show([done, failed], Console(file=buffer, width=width))
    text = buffer.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for word in ("scan_of_a_head.h5", "value three", "familiar input", "not checked", "3.2"):
        assert word in text
    assert "truncated" in text
    assert "out/scan_of_a_head.nii.gz" in text.replace("\n", "").replace(" ", "")


def test_a_sentence_that_another_one_contains_is_said_once():
    """CT's verdict quotes the remark on the pixels: both are one warning."""
    warnings = ["Pixels are of 3 mm.", "Padding.", "Noise differs. Pixels are of 3 mm.", "Padding."]
    assert distinct(warnings) == ["Padding.", "Noise differs. Pixels are of 3 mm."]

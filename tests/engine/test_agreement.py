"""A ground truth beside a verb's input: its metrics stand with the result, and decide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_domain import Smooth, evaluate, smooth_verb

from sciddm.errors import OptionError
from sciddm.pipelines.domains import DOMAINS, load_domain
from sciddm.pipelines.engine.request import JudgedRequest
from sciddm.pipelines.engine.verb import Transform

TRUTH = np.array([280.0, 280, 280, 280, 280, 280, 280])
RAW = TRUTH + np.array([3.0, -3, 3, -3, 3, -3, 3])


class Judged(Smooth, JudgedRequest):
    """Smooth a series, and compare it."""


@pytest.fixture
def verb():
    made = smooth_verb.of(Judged)
    made.domain, made.comparison = "toy", evaluate
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savetxt(tmp_path / "a.txt", RAW)
    np.savetxt(tmp_path / "true.txt", TRUTH)
    return tmp_path


def rmse(path: Path) -> float:
    return float(np.sqrt(((np.loadtxt(path) - TRUTH) ** 2).mean()))


def test_the_metrics_of_estimate_and_input_stand_on_the_page(verb, folder):
    result = verb(folder / "a.txt", reference=folder / "true.txt")
    result.save(folder / "b.txt", report=True)
    page = (folder / "b.html").read_text()
    row = f"<td>{rmse(folder / 'b.txt'):.3f}</td><td>3.000</td>"
    assert f"<th scope='row'>RMSE / K</th>{row}" in page
    [fact] = result.agreement.values()
    assert (fact.key, fact.label) == ("reference_rmse", "RMSE / K")
    assert fact.value == pytest.approx(rmse(folder / "b.txt"))
    assert result.warnings == []


def test_a_reference_decides_nothing(verb, folder):
    judged = verb(folder / "a.txt", reference=folder / "true.txt")
    plain = verb(folder / "a.txt")
    judged.save(folder / "b.txt")
    plain.save(folder / "c.txt")
    assert (folder / "b.txt").read_bytes() == (folder / "c.txt").read_bytes()
    assert judged.attrs["request"] == plain.attrs["request"]
    assert judged.attrs["command"] == plain.attrs["command"]
    assert plain.agreement == {}


def test_a_report_without_files_has_them_too(verb, folder):
    result = verb(folder / "a.txt", reference=folder / "true.txt")
    page = result.report(folder / "page.html").read_text()
    assert "Agreement with the reference" in page
    assert "<td>3.000</td>" in page
    assert sorted(p.name for p in folder.iterdir()) == ["a.txt", "page.html", "true.txt"]


def test_of_a_folder_the_reference_of_the_same_name_counts(verb, folder):
    truths = folder / "truths"
    truths.mkdir()
    np.savetxt(truths / "a.txt", TRUTH)
    np.savetxt(truths / "other.txt", 0 * TRUTH)
    result = verb(folder / "a.txt", reference=truths)
    result.save(folder / "b.txt")
    assert result.agreement["reference_rmse"].value == pytest.approx(rmse(folder / "b.txt"))
    (truths / "a.txt").unlink()
    lost = verb(folder / "a.txt", reference=truths)
    lost.save(folder / "c.txt")
    assert (folder / "c.txt").exists()
    [remark] = lost.warnings
    assert remark.endswith("holds no series named c or a")


def test_a_result_is_worth_more_than_its_metrics(verb, folder):
    (folder / "true.txt").write_text("no numbers\n")
    result = verb(folder / "a.txt", reference=folder / "true.txt")
    result.save(folder / "b.txt", report=True)
    assert (folder / "b.txt").exists()
    [remark] = result.warnings
    assert remark.startswith("The reference could not be compared: ")
    page = (folder / "b.html").read_text()
    assert "could not be compared" in page
    assert "Agreement" not in page


def test_a_reference_that_is_not_there_is_named_before_anything_is_computed(verb, folder):
    with pytest.raises(OptionError, match=r"lost\.txt: no such file or folder"):
        verb(folder / "a.txt", reference=folder / "lost.txt")


def test_the_table_of_a_batch_has_the_metrics(verb, folder):
    """They are known when the outputs are there, after the row was begun."""
    from sciddm.pipelines.engine.batch import Job
    from sciddm.pipelines.engine.item import Item
    from sciddm.pipelines.engine.results.record import Record

    out = folder / "out"
    out.mkdir()
    request = Judged.of({"reference": folder / "true.txt"})
    record = Record(out, "toy smooth")
    job = Job(folder / "a.txt", out / "a.txt")
    outcome = Item(job, request, batch=True, report=True, record=record).attempt(verb)
    [row] = record.close([outcome])
    assert row["reference_rmse"] == pytest.approx(rmse(out / "a.txt"))
    assert row["figures"] == ["mean_k", "reference_rmse"]
    assert outcome.facts["reference_rmse"].text == f"{rmse(out / 'a.txt'):.3f}"


@pytest.mark.parametrize("name", DOMAINS)
def test_every_verb_with_a_page_takes_a_reference(name):
    for verb in load_domain(name).verbs:
        if isinstance(verb, Transform) and verb.page is not None:
            assert issubclass(verb.request, JudgedRequest), verb
            assert verb.comparison is not None
            assert verb.request.declared()["reference"].option.incidental

"""The three verdicts on the page, in the terminal and in the JSON: the same words everywhere."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import toy_domain
from rich.console import Console
from toy_domain import smooth_verb

from sciddm.pipelines.engine.batch import Job, Outcome
from sciddm.pipelines.engine.report.page import Report, Verdict, render
from sciddm.pipelines.engine.summary import Fact, show
from sciddm.pipelines.engine.verdicts import plain, questions
from sciddm.uncertainty import verdict as three

MIXED = three.Verdict(
    three.Finding("yes", 1.02, 1.1, "The residual is the noise."),
    three.Finding("no", 2.5, 1.3, "The error is <larger> than told.", "too small"),
)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    np.savetxt(path, [280.0, 281, 279, 282, 280, 281, 280])
    return path


@pytest.fixture
def judged(monkeypatch):
    """The toy's pipeline with three verdicts and a warning of its own."""

    def smooth(data, request, context):
        result = toy_domain.smooth(data, request, context)
        warnings = json.dumps([*MIXED.warnings, "The sensor is <old>."])
        return result.assign_attrs({**MIXED.attributes(), "warnings": warnings})

    monkeypatch.setattr(smooth_verb, "compute", smooth)


def card(page: str, label: str) -> tuple[str, str]:
    """Class and text of a card."""
    match = re.search(rf'<div class="finding (\w+)"><h2>{label}</h2>(.*?)</div>', page)
    assert match is not None
    return match[1], match[2]


def test_the_page_answers_three_questions_whatever_the_domain_shows(toy, series, tmp_path, judged):
    answer = toy("smooth", series, "-o", tmp_path / "b.txt", "--report", "--json")
    assert answer.code == 0, answer.err
    page = (tmp_path / "b.html").read_text()
    kind, text = card(page, "Fits the data")
    assert kind == "yes"
    assert "1.02, limit 1.1" in text
    kind, text = card(page, "Calibrated")
    assert kind == "no"
    assert "The error is &lt;larger&gt; than told." in text
    assert "lower bound" in text
    assert card(page, "Familiar input")[0] == "unchecked"
    # A verdict's sentence stands once, in its card; another warning in the warnings.
    assert page.count("The error is &lt;larger&gt;") == 1
    warnings = page[page.index('class="warnings"') : page.index('class="remarks')]
    assert "The sensor is &lt;old&gt;." in warnings
    assert "&#10003;" not in page
    assert "\u2713" not in page
    [told] = json.loads(answer.out)["results"]
    assert told["verdict"] == json.loads(json.dumps(plain(MIXED)))
    assert told["verdict"]["calibrated"]["figure"] == 2.5
    assert told["verdict"]["familiar"]["answer"] == "not checked"
    assert told["warnings"][1] == "The sensor is <old>."


def test_the_terminal_tells_them_too(toy, series, tmp_path, judged, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    answer = toy("smooth", series, "-o", tmp_path / "b.txt")
    lines = {line[:16].strip(): line[16:].strip() for line in answer.out.splitlines()}
    assert lines["fits the data"] == "yes (1.02, limit 1.1)"
    assert lines["calibrated"] == "no (2.5, limit 1.3)"
    assert lines["familiar input"] == "not checked"
    assert "it is a lower bound." in " ".join(answer.out.split())


def test_a_result_without_checks_is_never_called_good(series):
    result = smooth_verb(series)
    page = result.page()
    assert page.count('class="finding unchecked"') == 3
    assert 'class="finding yes"' not in page
    assert {v["answer"] for v in result.to_dict()["verdict"].values()} == {"not checked"}
    assert repr(result).count("not checked") == 3


def test_not_checked_is_neutral_and_only_yes_is_green():
    fact = {"a": Fact("a", "a", 1, "1")}
    outcome = Outcome(Job(Path("a"), Path("b")), "done", facts=fact, verdict=MIXED)
    buffer = io.StringIO()
    show([outcome], Console(file=buffer, force_terminal=True, width=90, color_system="standard"))
    lines = buffer.getvalue().splitlines()
    green, red = "\x1b[32m", "\x1b[1;31m"
    assert green in next(line for line in lines if "fits the data" in line)
    assert red in next(line for line in lines if "calibrated" in line)
    unchecked = next(line for line in lines if "familiar" in line)
    assert green not in unchecked
    assert "31m" not in unchecked


@pytest.mark.parametrize(
    ("deviation", "said", "unsaid"),
    [("too small", "lower bound", "upper"), ("too large", "upper bound", "lower"),
     ("", "error bar", "bound")],
)  # fmt: skip
def test_advice_says_which_way_the_deviation_is_wrong(deviation, said, unsaid):
    """A deviation that is too large is no lower bound, and an unknown one is neither."""
    finding = three.Finding("no", sentence="Why.", deviation=deviation)
    told = three.Verdict(calibrated=finding)
    again = three.Verdict.from_attributes(told.attributes())
    assert again == told
    [advice] = [q.advice for q in questions(again) if q.key == "calibrated"]
    assert said in advice
    assert unsaid not in advice


def test_intervals_that_are_too_wide_are_an_upper_bound():
    from sciddm.uncertainty.prediction import Prediction, prediction_finding

    wide = prediction_finding([Prediction(0.2, 0.5, 900, 1.0)], 2.0, 0.9)
    assert (wide.answer, wide.deviation) == ("yes", "too large")
    good = prediction_finding([Prediction(0.9, 0.5, 900, 1.0)], 2.0, 0.9)
    assert (good.answer, good.deviation) == ("yes", "")
    narrow = prediction_finding([Prediction(2.1, 0.5, 900, 1.0)], 2.0, 0.9)
    assert (narrow.answer, narrow.deviation) == ("no", "too small")
    # Without skill the prior is wrong, and which way its deviation errs is not known.
    blind = prediction_finding([Prediction(0.9, 0.95, 900, 1.0)], 2.0, 0.9)
    assert (blind.answer, blind.deviation) == ("no", "")


def test_every_answer_of_every_question_that_asks_for_action_says_which():
    for answer in ("no", "not checked"):
        finding = three.Finding(answer, sentence="Why.")
        for question in questions(three.Verdict(finding, finding, finding)):
            assert question.advice.endswith((".", ")."))


def test_warnings_stand_on_the_page_even_where_a_domain_forgets_them():
    report = Report("t", "s", Verdict("good", "Fine.", ["Look."]), [], [], "sciddm")
    page = render(report, three.Verdict(), ["Look.", "Motion."])
    assert page.count("<li>Motion.</li>") == 1
    assert page.count("<li>Look.</li>") == 1
    assert "Warnings" not in render(report, three.Verdict(), [])

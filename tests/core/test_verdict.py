"""The three verdicts: what a result holds of them, and what they refuse."""

from __future__ import annotations

import json
import math

import pytest

from sciddm.data_adapters.attributes import decode, encode
from sciddm.uncertainty.verdict import Finding, Verdict

VERDICT = Verdict(
    fits=Finding("yes", 0.97, 1.25, "The image agrees with the data."),
    calibrated=Finding("no", 1.8, 1.3, "Lines that were kept out lie beyond the prediction."),
)


def test_a_verdict_comes_back_from_a_results_attributes():
    stored = decode(encode(VERDICT.attributes()))  # as every file format keeps them
    assert Verdict.from_attributes(stored) == VERDICT


def test_answers_stand_in_attributes_of_their_own():
    attrs = VERDICT.attributes()
    assert attrs["verdict_fits"] == "yes"
    assert attrs["verdict_calibrated"] == "no"
    assert attrs["verdict_familiar"] == "not checked"
    assert json.loads(attrs["verdict"])["calibrated"]["figure"] == 1.8


def test_nothing_checked_is_never_a_yes():
    assert {f.answer for f in (Verdict().fits, Verdict().calibrated, Verdict().familiar)} == {
        "not checked"
    }
    assert Verdict.from_attributes({"model": "mri-brain"}) == Verdict()


def test_only_a_no_warns():
    assert VERDICT.warnings == ["Lines that were kept out lie beyond the prediction."]
    assert Verdict().warnings == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("maybe", 1.0, None, "Perhaps."), "maybe"),
        (("yes", math.nan, None, "It fits."), "figure"),
        (("yes", 1.0, math.inf, "It fits."), "limit"),
        (("no", 1.0, 2.0, ""), "sentence"),
    ],
)
def test_a_finding_that_says_nothing_clear_is_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        Finding(*arguments)


def test_a_damaged_attribute_is_told_of():
    with pytest.raises(ValueError, match="verdict"):
        Verdict.from_attributes({"verdict": '{"fits": {"answer": "perhaps"}}'})

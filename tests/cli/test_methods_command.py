"""`sciddm methods`: the registry, as the core has it."""

from __future__ import annotations

import json

from cli_helpers import Sciddm

from sciddm.methods import POSTERIOR_SAMPLERS, SOLVERS


def test_methods_are_listed_and_described(sciddm: Sciddm) -> None:
    entries = json.loads(sciddm("methods", "list", "--json").out)
    assert [e["name"] for e in entries] == [*POSTERIOR_SAMPLERS, *SOLVERS]
    smc = json.loads(sciddm("methods", "info", "smc", "--json").out)
    assert smc["source"] == POSTERIOR_SAMPLERS["smc"].source
    assert smc["cost"] == "1 + 1 VJP, low levels up to twice"
    assert smc["evidence"] is True
    assert "repaint" in sciddm("methods", "list").out
    assert "from 16 evaluations on" in sciddm("methods", "info", "unipc-3").out


def test_an_unknown_method_is_named(sciddm: Sciddm) -> None:
    answer = sciddm("methods", "info", "magic")
    assert answer.code == 2
    assert "no method 'magic'" in answer.err

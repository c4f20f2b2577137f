"""The simulation of `benchmarks.scaling` agrees with what can be computed by hand."""

from __future__ import annotations

import pytest

from benchmarks.scaling import Costs, Load, simulate

FREE = Costs(
    scheduler=0, driver=0, call=0, bandwidth=float("inf"), start=0, calls_fixed=0, calls_each=0
)


def test_without_costs_all_workers_compute_all_the_time() -> None:
    result = simulate(Load(items=640, workers=64, seconds=36.0), FREE)
    assert result["hours"] == pytest.approx(0.1)
    assert result["efficiency"] == pytest.approx(1.0)


def test_a_server_that_is_full_sets_the_pace() -> None:
    load = Load(items=1000, workers=500, seconds=1.0)
    slow = Costs(**{**vars(FREE), "scheduler": 0.1})
    # One order each 0.1 s, and the last item behind the last order.
    assert simulate(load, slow)["hours"] * 3600 == pytest.approx(101.0)
    disk = Costs(**{**vars(FREE), "bandwidth": 1e9})
    seconds = simulate(Load(items=100, workers=50, seconds=0.0, bytes_in=1e9, bytes_out=0), disk)
    assert seconds["hours"] * 3600 == pytest.approx(200 + 50 * 0.7)  # two readings, and the starts


def test_claims_cost_the_square_of_the_workers() -> None:
    costs = Costs(**{**vars(FREE), "call": 1e-3, "calls_each": 1})
    busy = [simulate(Load(items=1000, workers=w, seconds=100.0), costs) for w in (10, 20)]
    rates = [r["claims"] for r in busy]
    assert rates[1] / rates[0] == pytest.approx(4.0, rel=0.01)
    spread = simulate(Load(items=1000, workers=20, seconds=100.0, folders=20), costs)
    assert spread["claims"] < rates[1] / 300

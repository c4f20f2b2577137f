"""What a result of several slices says of its agreement with the data."""

from __future__ import annotations

import json
import math

import pytest

from sciddm.posterior import Consistency
from sciddm.uncertainty.consistency import consistency_attributes


def test_slices_add_up_by_their_squares():
    slices = [Consistency(1.0, 100, floor=0.9), Consistency(3.0, 100, floor=1.1)]
    attrs = consistency_attributes(slices, ["a remark"])
    assert attrs["consistency"] == pytest.approx(math.sqrt((1 + 9) / 2), abs=1e-4)
    assert attrs["consistency_worst"] == pytest.approx(3.0)
    assert attrs["consistency_without_prior"] == pytest.approx(1.0)
    warnings = json.loads(attrs["warnings"])
    assert warnings[0] == "a remark"
    assert any("slice 2" in warning for warning in warnings[1:])

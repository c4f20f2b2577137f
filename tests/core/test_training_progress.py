"""What a training tells of itself while it runs."""

from __future__ import annotations

import copy
import logging
import warnings

import pytest

from sciddm.training.progress import TrainingProgress, quiet_lightning, remaining_seconds


@pytest.mark.parametrize(
    ("step", "first", "elapsed", "before", "limit", "left"),
    [
        (20, 0, 10.0, 0.0, None, 40.0),  # 2 steps a second, 80 to go
        (60, 40, 110.0, 100.0, None, 20.0),  # the earlier run's pace is not this one's
        (20, 0, 10.0, 0.0, 30.0, 20.0),  # the time ends first
        (90, 0, 45.0, 0.0, 3600.0, 5.0),  # the steps end first
        (0, 0, 0.0, 0.0, None, None),
        (40, 40, 100.0, 100.0, 160.0, 60.0),
        (20, 0, 31.0, 0.0, 30.0, 0.0),
    ],
)
def test_the_end_is_that_of_steps_or_time(step, first, elapsed, before, limit, left):
    found = remaining_seconds(step, 100, first, elapsed, before, limit)
    assert found == (None if left is None else pytest.approx(left))


def test_lightning_says_nothing_of_itself():
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logging.getLogger("lightning.pytorch").level
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with quiet_lightning():
            assert not log.isEnabledFor(logging.INFO)
            assert log.isEnabledFor(logging.WARNING)
            warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, 1)
            warnings.warn("the loss is NaN", RuntimeWarning, 1)
    assert [str(w.message) for w in told] == ["the loss is NaN"]
    assert logging.getLogger("lightning.pytorch").level == level


def test_a_copy_of_a_trainer_has_no_line():
    bar = TrainingProgress()
    bar._bar = object()  # a terminal's, which cannot be copied
    assert copy.deepcopy(bar)._bar is None

"""Choosing what to measure next: particles of the reverse process, and how much they disagree."""

from sciddm.acquisition.belief import Belief
from sciddm.acquisition.criteria import CRITERIA, Criterion, choose, resolvable_variance, scores
from sciddm.acquisition.groups import Groups

__all__ = ["CRITERIA", "Belief", "Criterion", "Groups", "choose", "resolvable_variance", "scores"]

"""Acceleration of models: what a card's plan allows, and the switch that turns all of it off.

``Plan`` is what a model's card says, and ``use("none")`` computes as without any plan, bit for bit.
"""

from sciddm.acceleration.plan import NO_PLAN, Plan
from sciddm.acceleration.switch import MODES, active, evaluating, follows_plans, use

__all__ = ["MODES", "NO_PLAN", "Plan", "active", "evaluating", "follows_plans", "use"]

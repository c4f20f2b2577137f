"""Is a recording like the training's: one talker, and no music?"""

from __future__ import annotations

from sciddm.physics.speech.steady_tones import LIMIT as TONE_LIMIT
from sciddm.physics.speech.talkers import LIMIT as TALKER_LIMIT
from sciddm.pipelines.speech.enhance import Levels
from sciddm.uncertainty.verdict import Finding

__all__ = ["familiar"]


def familiar(levels: Levels) -> Finding:
    """The verdict on what a first pass over a recording finds.

    "no" names music or several talkers. Nothing makes it "yes": other noises and other voices are
    not checked.
    """
    tones, talkers = levels.tones, levels.talkers
    if tones is not None and tones > TONE_LIMIT:
        text = (
            f"{100 * tones:.0f} % of the sound is steady tones, as of music, singing or an alarm: "
            "the model was trained on speech and takes music for noise."
        )
        return Finding("no", tones, TONE_LIMIT, text)
    if talkers is not None and talkers > TALKER_LIMIT:
        text = (
            f"In {100 * talkers:.0f} % of the loud sound several talk at once, or sing: the model "
            "was trained on one talker, and may keep all or take one away."
        )
        return Finding("no", talkers, TALKER_LIMIT, text)
    if tones is None:
        return Finding()
    if talkers is None:
        text = "No music. Nothing else is checked: several talkers, other noises, other voices."
        return Finding("not checked", tones, TONE_LIMIT, text)
    text = "No music, one talker at a time. Nothing else is checked: other noises, other voices."
    return Finding("not checked", talkers, TALKER_LIMIT, text)

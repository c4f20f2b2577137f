"""Ultrasound frames: beamformed RF and IQ, envelopes, B-mode images and clips."""

from sciddm.data_adapters.ultrasound.files import (
    FRAME_SUFFIXES,
    is_clip_folder,
    open_frames,
    save_frames,
)
from sciddm.data_adapters.ultrasound.frames import build_frames, checked_frames

__all__ = [
    "FRAME_SUFFIXES",
    "build_frames",
    "checked_frames",
    "is_clip_folder",
    "open_frames",
    "save_frames",
]

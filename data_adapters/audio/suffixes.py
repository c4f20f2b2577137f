"""File name suffixes of sound."""

from __future__ import annotations

__all__ = ["CONTAINERS", "FOREIGN", "SUFFIXES"]

#: Suffix -> containers of libsndfile that a file of this name may have, the first when it is new.
CONTAINERS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".flac": ("FLAC",),
    ".ogg": ("OGG",),
    ".opus": ("OGG",),
    ".mp3": ("MP3",),
    ".aiff": ("AIFF",),
    ".aif": ("AIFF",),
    ".aifc": ("AIFF",),
    ".caf": ("CAF",),
    ".w64": ("W64",),
    ".au": ("AU",),
    ".snd": ("AU",),
}
#: Suffixes that are read and written; each stands for a container.
SUFFIXES = tuple(CONTAINERS)
#: Suffixes that are read, and not written.
FOREIGN = (
    *(".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wma", ".amr", ".3gp"),
    *(".mka", ".m4b", ".ac3"),
)

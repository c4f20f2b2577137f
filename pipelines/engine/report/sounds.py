"""Recordings to listen to: each with its player, and a switch between them that keeps the place.

The script is part of the page and depends on nothing; a browser without scripts shows the players
alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["LISTEN", "Player", "sounds_block"]

LISTEN = (Path(__file__).parent / "listen.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Player:
    """Sound to listen to: an encoded file that browsers play."""

    title: str
    sound: bytes
    mime: str
    note: str = ""


def sounds_block(players: Sequence[Player]) -> str:
    """The players as HTML; empty for none."""
    if not players:
        return ""
    figures = "".join(_player(player) for player in players)
    switch = ""
    if len(players) > 1:
        switch = (
            '<p data-switch hidden role="group" aria-label="Recording that is heard">'
            "Hear from the same place: </p>"
        )
    return f'<div data-listen>{switch}<div class="panels">{figures}</div></div>'


def _player(player: Player) -> str:
    data = base64.b64encode(player.sound).decode("ascii")
    note = f"<span>{escape(player.note)}</span>" if player.note else ""
    return (
        f"<figure><figcaption>{escape(player.title)}</figcaption>"
        f'<audio controls preload="auto" aria-label="{escape(player.title)}" '
        f'src="data:{player.mime};base64,{data}"></audio>{note}</figure>'
    )

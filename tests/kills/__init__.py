"""Kills, broken disks and full disks at every call that changes the disk."""

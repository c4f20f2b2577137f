"""Rooms, noises and synthetic speech."""

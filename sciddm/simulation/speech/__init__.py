"""Rooms, noises, transients, music, recorders and synthetic speech."""

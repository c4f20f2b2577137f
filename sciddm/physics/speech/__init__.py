"""Recordings: short-time spectra and chunks."""

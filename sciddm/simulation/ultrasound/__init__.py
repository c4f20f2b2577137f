"""Anatomy and its echoes."""

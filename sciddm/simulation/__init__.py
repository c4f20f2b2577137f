"""Scenes and scans that need no file: one folder per domain."""

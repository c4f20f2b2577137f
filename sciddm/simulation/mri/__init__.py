"""Heads and their scans."""

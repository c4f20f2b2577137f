"""Hyperspectral cubes: noise, its estimation, simulation and image quality."""

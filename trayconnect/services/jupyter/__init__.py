"""Jupyter: discovery, health, kernels, start and stop."""

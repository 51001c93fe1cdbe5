"""Jupyter as a job of a cluster's scheduler."""

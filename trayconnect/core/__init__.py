"""Errors, cancellation, files and subprocesses, for all other folders."""

"""Errors, cancellation, files and subprocesses, for every other folder."""

"""Errors, cancellation, files and subprocesses: what every other folder may use."""

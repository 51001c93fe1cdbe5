"""The running program: its life, and the wiring of all folders."""

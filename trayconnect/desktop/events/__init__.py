"""Suspend, and changes of the network."""

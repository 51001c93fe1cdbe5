"""A menu of our own, for a panel that draws none."""

"""A connection to a bus of D-Bus."""

"""Putting questions to the user."""

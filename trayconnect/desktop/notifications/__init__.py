"""Showing notices."""

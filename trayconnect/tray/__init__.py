"""The icon and its menu."""

"""Drawing the icon and its menu on each system."""

"""The tray icon and its menu, as data."""

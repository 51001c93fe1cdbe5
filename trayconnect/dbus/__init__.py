"""The session bus, as the tray and the notifications on Linux use it."""

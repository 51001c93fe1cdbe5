"""What to tell the user, when, and when it is over."""

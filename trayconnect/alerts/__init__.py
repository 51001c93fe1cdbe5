"""Which events the user is notified of, when, and when a notice no longer holds."""

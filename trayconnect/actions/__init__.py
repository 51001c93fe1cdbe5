"""What a user can order, and its handlers."""

"""What runs behind a link."""

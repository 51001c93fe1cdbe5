"""Local listeners and the byte pump; knows no SSH."""

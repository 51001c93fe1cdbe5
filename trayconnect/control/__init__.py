"""The single instance, and the socket through which the commands speak to it."""

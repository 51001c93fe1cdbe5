"""A whole setup on loopback to try the program on."""

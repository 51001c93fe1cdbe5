"""Connection to a D-Bus message bus."""

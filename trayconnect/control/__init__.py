"""How commands reach the running program: lock, socket, wire format."""

"""Host keys: known_hosts, verification, update."""

"""Sleep, and changes of the network."""

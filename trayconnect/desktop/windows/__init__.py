"""Windows of our own, each in a process with Tk."""

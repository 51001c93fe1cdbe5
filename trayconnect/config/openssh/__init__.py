"""What OpenSSH would do for a host: `ssh -G` where it is installed, else our own reader."""

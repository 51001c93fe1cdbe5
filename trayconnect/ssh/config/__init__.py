"""OpenSSH's own configuration: `ssh -G`, its options, and the jump chain."""

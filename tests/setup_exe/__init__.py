"""The bundle and the installer for Windows, run under wine: `make test-setup-exe`."""

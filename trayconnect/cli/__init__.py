"""The commands, one module for each family.

A command imports what it needs inside its function: `trayconnect status` must not wait for SSH."""

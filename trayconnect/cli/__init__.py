"""The commands, one module a family.

A command imports what it needs inside its function: `trayconnect status` must not wait for SSH."""

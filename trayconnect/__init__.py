"""A tray icon that opens SSH tunnels to remote Jupyter servers, and the browser on them."""

__version__ = "0.1.0"

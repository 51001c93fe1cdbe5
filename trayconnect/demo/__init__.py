"""An SSH server and a JupyterLab on loopback, to try the program."""

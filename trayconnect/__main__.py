"""`python -m trayconnect`."""

from trayconnect.cli import main

if __name__ == "__main__":
    main()

"""`python -m trayconnect`."""

from trayconnect.cli.main import main

if __name__ == "__main__":
    main()

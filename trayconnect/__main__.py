"""The program's entry point, also of `python -m trayconnect`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; never shows a traceback."""
    from trayconnect.cli import quick

    code = quick.run(sys.argv[1:])
    if code is None:
        from trayconnect.cli.main import run

        code = run(sys.argv[1:])
    sys.exit(code)


if __name__ == "__main__":
    main()

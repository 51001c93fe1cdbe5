"""Stands where the browser would: Windows gives it what is opened, and it writes that down."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    with Path(os.environ["OPENED"]).open("a", encoding="utf-8") as file:
        file.write(f"{sys.argv[1]}\n")

"""Base class of what a test starts with a `with`."""

from __future__ import annotations

from typing import Self


class Scoped:
    """Started when a `with` begins, closed when it ends, and where the start fails."""

    def start(self) -> None:
        """Nothing, for a class that starts when it is made."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

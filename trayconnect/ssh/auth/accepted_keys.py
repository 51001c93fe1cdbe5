"""What logins needed, so that the next one can begin with the same key."""

from __future__ import annotations

from dataclasses import dataclass, field

from trayconnect.ssh.hostkeys.known_hosts import HostKey

_Place = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class LastLogin:
    """To one account; from any thread."""

    _place: _Place
    _sole_keys: dict[_Place, bytes]

    @property
    def is_unknown(self) -> bool:
        """Whether there was none."""
        return self._place not in self._sole_keys

    def needed_only(self, public: HostKey | None) -> bool:
        """Whether this key was enough for it."""
        return public is not None and self._sole_keys.get(self._place) == public.blob

    def needed(self, sole_key: HostKey | None) -> None:
        """A login has just ended. `sole_key`: the key that was enough; None: there is none."""
        self._sole_keys[self._place] = sole_key.blob if sole_key else b""


@dataclass(frozen=True, slots=True)
class AcceptedKeys:
    """The last login to each account, in memory only. An account counts with its server's host key:
    another server is another account."""

    _sole_keys: dict[_Place, bytes] = field(default_factory=dict)
    """Public halves."""

    def last_login(self, account: str, host_key: HostKey) -> LastLogin:
        return LastLogin((account, host_key.blob), self._sole_keys)

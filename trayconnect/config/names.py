"""When two names of the file are the same."""

from __future__ import annotations

import unicodedata


def name_key(name: str) -> str:
    """Equal for names that differ only in case, or in how Unicode spells them (NFC, section
    2.3.2 of UAX 15)."""
    return unicodedata.normalize("NFC", name).casefold()

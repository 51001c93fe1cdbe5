"""Where the doctor says that files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.diagnostics import doctor

REAL = "/real/servers.yaml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, f"{REAL} does not exist yet; the app creates it"),
        ("servers: []\n", f"{REAL}: 0 servers"),
        ("servers: 1\n", f"{REAL} cannot be used"),
    ],
)
def test_the_server_file_is_where_other_programs_find_it(
    text: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python from the Microsoft Store writes elsewhere than it says."""
    file = tmp_path / "servers.yaml"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(doctor, "path_for_others", lambda path: f"/real/{path.name}")
    assert next(doctor._server_file(file)).text == words

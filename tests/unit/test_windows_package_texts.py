"""What the installer for Windows says of itself."""

from __future__ import annotations

import pytest

from installers.windows.build import for_windows, numbers


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.1.0", (0, 1, 0, 0)), ("1.2", (1, 2, 0, 0)), ("1.0rc1", (1, 0, 0, 0))],
)
def test_windows_has_four_numbers_for_a_version(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def test_of_a_list_for_all_systems_windows_takes_its_own() -> None:
    hashes = " \\\n    --hash=sha256:00\n"
    pins = (
        f"anywhere==1.0{hashes}"
        f"jeepney==0.8 ; sys_platform == 'linux'{hashes}"
        f"pefile==2024.8 ; sys_platform == 'win32'{hashes}"
    )
    kept = [line for line in for_windows(pins).splitlines() if "==" in line]
    assert [line.split()[0] for line in kept] == ["anywhere==1.0", "pefile==2024.8"]
    assert not any(";" in line for line in kept)

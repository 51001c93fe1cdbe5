from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from trayconnect.config.places import VARIABLE, config_file


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_the_option_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "variable.yaml"))
    assert config_file(tmp_path / "option.yaml") == tmp_path / "option.yaml"
    assert config_file() == tmp_path / "variable.yaml"


def test_a_relative_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file(Path("x.yaml")) == tmp_path / "x.yaml"


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "~/x.yaml")
    assert config_file() == Path.home() / "x.yaml"


@pytest.mark.parametrize("variable", [None, ""])
def test_the_usual_place(monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    if variable is not None:
        monkeypatch.setenv(VARIABLE, variable)
    folder = platformdirs.user_config_dir("trayconnect", appauthor=False)
    assert config_file() == Path(folder) / "servers.yaml"


def test_the_usual_place_is_the_one_that_other_programs_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python from the Microsoft Store writes elsewhere than it says."""
    monkeypatch.setattr(
        "trayconnect.config.places.path_for_others", lambda path: Path("/real", path.name)
    )
    assert config_file() == Path("/real/servers.yaml")


def test_no_name_of_a_home_folder_is_guessed() -> None:
    path = config_file(Path("~no-such-user-here/x.yaml"))
    assert path.is_absolute()
    assert path.name == "x.yaml"

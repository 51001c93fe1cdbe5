"""The commands that need no running app, and what the others say when there is none."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.systems import has_mode, move_home
from trayconnect import __version__
from trayconnect.cli import main
from trayconnect.control.client import ControlClient
from trayconnect.control.protocol import Reply
from trayconnect.core.command import JSON, Command
from trayconnect.ssh.auth import pasted_key
from trayconnect.ssh.auth.keyfile import read_key_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user that has nothing yet."""
    for variable in [name for name in os.environ if name.startswith(("XDG_", "TRAYCONNECT_"))]:
        monkeypatch.delenv(variable)
    move_home(monkeypatch, tmp_path)
    monkeypatch.setenv("TRAYCONNECT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("TRAYCONNECT_SSH_CONFIG", "none")
    return tmp_path


def good(folder: Path) -> Path:
    file = folder / "servers.yaml"
    file.write_text("servers:\n  - {name: GPU box, host: gpu.example.org}\n")
    return file


def test_check_counts_what_is_good(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = good(home)
    assert main.run(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{file}: 1 server, no problems"


def test_check_prints_every_problem_with_its_place(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "servers.yaml"
    file.write_text("servers:\n  - nam: GPU box\n    host: gpu\n    port: 99999\n")
    assert main.run(["check", str(file)]) == main.MENDABLE
    errors = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"{file}:2:5: ") and "name" in line for line in errors)
    assert any(line.startswith(f"{file}:4:11: ") for line in errors)


def test_check_reads_the_file_that_the_environment_or_an_option_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = good(home)
    monkeypatch.setenv("TRAYCONNECT_CONFIG", str(file))
    assert main.run(["check"]) == 0
    monkeypatch.delenv("TRAYCONNECT_CONFIG")
    assert main.run(["--config", str(file), "check"]) == 0
    assert capsys.readouterr().out.count("1 server") == 2


def test_check_warns_of_keys_that_could_not_log_in(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = home / "id.pub"
    public.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ada\n")
    file = home / "servers.yaml"
    file.write_text(
        "servers:\n"
        "  - name: One\n"
        "    host: one.example.org\n"
        "    auth:\n"
        f"      identity_file: {public}\n"
        "  - {name: Two, host: two.example.org}\n"
        "  - {name: Three, host: three.example.org}\n"
        "defaults:\n"
        "  auth: {identity_file: ~/missing, agent: none}\n"
    )
    assert main.run(["check", str(file)]) == 0
    captured = capsys.readouterr()
    one, two = captured.err.splitlines()
    assert one.startswith(f"{file}:5:22: warning: The key file {public} is a public key. ")
    assert two.startswith(f"{file}:9:25: warning: The key file {home / 'missing'} does not exist")
    assert captured.out.splitlines()[0] == f"{file}: 3 servers, 2 warnings"


def test_check_warns_of_ports_that_other_computers_can_connect_to(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "servers.yaml"
    file.write_text(
        "servers:\n"
        "  - name: One\n"
        "    host: one.example.org\n"
        "    bind_address: 0.0.0.0\n"
        "  - name: Two\n"
        "    host: two.example.org\n"
        "    forwards:\n"
        "      - {name: fine, bind_address: '::1', port: 1}\n"
        "      - {name: open, bind_address: '*', port: 2}\n"
        "      - -D 192.168.1.2:1080\n"
        "      - -R *:9000:localhost:3000\n"
        "  - {name: Three, url: 'http://192.168.1.20/'}\n"
    )
    assert main.run(["check", str(file)]) == 0
    captured = capsys.readouterr()
    one, two, three = captured.err.splitlines()
    assert one.startswith(
        f"{file}:4:19: warning: bind_address 0.0.0.0: other computers can connect"
    )
    assert two.startswith(f"{file}:9:36: warning: bind_address *: other computers can connect to")
    assert three.startswith(f"{file}:10:9: warning: bind_address 192.168.1.2: other computers can")
    assert captured.out.splitlines()[0] == f"{file}: 3 servers, 3 warnings"


def test_check_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize(
    "arguments",
    [
        ["connect", "GPU box"],
        ["connect", "GPU box", "--wait", "1"],
        ["disconnect", "GPU box"],
        ["open", "GPU box"],
        ["reload"],
        ["quit"],
        ["status"],
        ["status", "--json"],
    ],
)
def test_without_a_running_app_a_command_says_so(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == main.MENDABLE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "trayconnect is not running\n  Start it with: trayconnect\n"


KEY = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.OpenSSH,
    serialization.NoEncryption(),
)


class Piped:
    """A stdin that is no terminal."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def test_a_key_that_is_piped_in_is_kept_for_its_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = good(home)
    monkeypatch.setattr("sys.stdin", Piped(KEY))
    assert main.run(["--config", str(file), "add-key", "gpu BOX"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Stored for “GPU box”: ssh-ed25519 SHA256:")
    assert "PRIVATE KEY" not in out
    path = pasted_key.place(pasted_key.default_folder(), "GPU box")
    assert path.is_relative_to(home)
    assert str(path) in out
    assert read_key_file(path).decrypt().get_name() == "ssh-ed25519"
    monkeypatch.setattr("sys.stdin", Piped(KEY))
    assert main.run(["--config", str(file), "add-key", "GPU box"]) == main.MENDABLE
    assert "already" in capsys.readouterr().err


def test_a_key_from_the_clipboard(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = good(home)
    monkeypatch.setattr("trayconnect.desktop.clipboard.pasted", lambda: "hello")
    assert main.run(["--config", str(file), "add-key", "GPU box", "--clipboard"]) == main.MENDABLE
    assert "The pasted text is not a private key" in capsys.readouterr().err


def test_a_key_for_nobody(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = good(home)
    assert main.run(["--config", str(file), "add-key", "GPU bx"]) == main.MENDABLE
    assert "Did you mean “GPU box”?" in capsys.readouterr().err
    file.write_text("servers:\n  - {name: Lab, url: 'http://lab.example.org/'}\n")
    assert main.run(["--config", str(file), "add-key", "Lab"]) == main.MENDABLE
    assert "is a direct connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["connect"], ["connect", "a", "--wait", "0"], ["autostart", "maybe"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert main.run(arguments) == main.USAGE


def test_a_defect_leaves_a_log_and_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(_option: object) -> Path:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("trayconnect.config.places.config_file", explode)
    assert main.run(["check"]) == main.BUG
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    log = Path(errors.rsplit(": ", 1)[1].strip())
    assert log.is_relative_to(home)
    assert "ZeroDivisionError: a defect" in log.read_text()
    assert has_mode(log, 0o600)


def test_autostart_goes_on_and_off(capsys: pytest.CaptureFixture[str]) -> None:
    for what, answer in [("status", "off"), ("on", "on"), ("status", "on"), ("off", "off")]:
        assert main.run(["autostart", what]) == 0
        assert capsys.readouterr().out == f"{answer}\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_no_sentence_of_the_help_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    _, commands = capsys.readouterr().out.split("Commands:")
    assert "..." not in commands
    assert "…" not in commands


def test_a_wrong_path_after_config_makes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "folder" / "server.yaml"
    assert main.run(["--config", str(wrong), "run", "--no-tray"]) == main.MENDABLE
    assert f"There is no file {wrong}" in capsys.readouterr().err
    assert not wrong.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "shell_and_end"),
    [
        (["stop", "--force", "gpu"], 90),
        (["stop", "gpu"], 90),
        (["log", "gpu"], 60),
        (["restart", "--force", "--wait", "1", "gpu"], 90),
    ],
)
def test_what_takes_a_command_on_the_server_is_waited_for(
    arguments: list[str], shell_and_end: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = []

    def call(_client: ControlClient, _command: Command, timeout: float = 10) -> Reply:
        allowed.append(timeout)
        data = {"losses": "", "identity": "", "label": "", "log": "", "servers": []}
        return Reply(ok=True, data=data)

    monkeypatch.setattr(ControlClient, "call", call)
    assert main.run(arguments) == 0
    assert min(allowed) > shell_and_end


SERVER: dict[str, JSON] = {"name": "GPU box", "state": "up", "words": "connected", "jupyters": []}


def answering(
    monkeypatch: pytest.MonkeyPatch, data: dict[str, JSON], asked: list[Command] | None = None
) -> None:
    """A running app that uses /etc/its.yaml, and answers every command with `data`."""

    def call(_client: ControlClient, command: Command, _timeout: float = 10) -> Reply:
        if asked is not None:
            asked.append(command)
        file: dict[str, JSON] = {"file": "/etc/its.yaml"}
        return Reply(ok=True, data=file if command.name == "ping" else data)

    monkeypatch.setattr(ControlClient, "call", call)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["disconnect", "gpu BOX"], "GPU box is disconnected.\n"),
        (["stop", "--force", "GPU box"], "Jupyter on GPU box is stopped. The tunnel stays open.\n"),
        (["quit"], "trayconnect disconnects all servers and ends.\n"),
        (["reload"], "trayconnect has read its file: 1 server.\n"),
    ],
)
def test_an_order_is_answered_with_one_line(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answering(monkeypatch, {"servers": 1 if arguments == ["reload"] else [SERVER]})
    assert main.run(arguments) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("command", ["connect", "link", "start", "restart"])
@pytest.mark.parametrize("value", ["soon", "0", "-1", "86401", "nan", "inf"])
def test_a_wait_that_is_no_number_of_seconds(
    command: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([command, "GPU box", f"--wait={value}"]) == main.USAGE
    error = capsys.readouterr().err
    assert f"“{value}” is not a number of seconds: write one from 1 to 86400" in error


@pytest.mark.parametrize(
    "command",
    [["status"], ["connect", "a"], ["link", "a"], ["stop", "--force", "a"], ["quit"], ["reload"]],
)
def test_another_file_than_that_of_the_running_app_is_refused(
    command: list[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Command] = []
    answering(monkeypatch, {"servers": [SERVER]}, asked)
    assert main.run(["--config", str(good(home)), *command]) == main.MENDABLE
    title, advice = capsys.readouterr().err.splitlines()
    its, ours = Path("/etc/its.yaml"), home / "servers.yaml"
    assert title == f"The running trayconnect uses {its}, not {ours}"
    assert "Leave --config out" in advice
    assert [each.name for each in asked] == ["ping"]


def test_the_file_of_the_running_app_may_be_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, {"servers": []})
    assert main.run(["--config", "/etc/x/../its.yaml", "status"]) == 0
    assert capsys.readouterr().err == ""


def test_commands_on_the_file_read_that_of_the_running_app(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = good(home)
    for command in (["check"], ["terminal", "a"], ["add-key", "a"]):
        answering(monkeypatch, {})
        assert main.run(command) == main.MENDABLE
        assert "its.yaml" in capsys.readouterr().err
        monkeypatch.setenv("TRAYCONNECT_CONFIG", str(file))
        main.run(command)
        captured = capsys.readouterr()
        assert "its.yaml" not in captured.out + captured.err
        monkeypatch.delenv("TRAYCONNECT_CONFIG")

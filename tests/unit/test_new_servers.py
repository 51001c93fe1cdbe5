"""Entries reach the file whole or not at all, by the commands too."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.systems import has_links, has_modes, has_posix_paths, has_ssh, move_home
from trayconnect.cli import main
from trayconnect.cli.servers import choice
from trayconnect.config.edit import add
from trayconnect.config.new_entry import NewEntry
from trayconnect.config.yaml_file import load
from trayconnect.core.errors import ProblemError
from trayconnect.diagnostics import doctor

ENTRY = NewEntry({"name": "new", "host": "b"})
TEXT = "servers:\n  - name: old  # mine\n    host: a\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in [name for name in os.environ if name.startswith(("XDG_", "TRAYCONNECT_"))]:
        monkeypatch.delenv(variable)
    move_home(monkeypatch, tmp_path)
    monkeypatch.setenv("TRAYCONNECT_SSH_CONFIG", str(tmp_path / "ssh_config"))
    monkeypatch.setenv("TRAYCONNECT_CONFIG", str(tmp_path / "servers.yaml"))
    (tmp_path / "ssh_config").write_text(
        "Host gpu\n  HostName gpu.example.org\n  User ada\n  ProxyJump gate\n  Port 2222\n"
        "Host gate\n  LocalForward 8890 localhost:8890\nHost *.lab\n"
    )
    return tmp_path


@pytest.fixture
def file(home: Path) -> Path:
    path = home / "servers.yaml"
    path.write_text(TEXT)
    return path


def names(path: Path) -> list[str]:
    return [server.name for server in load(path).servers]


@has_modes
def test_it_is_written_behind_the_others(file: Path) -> None:
    file.chmod(0o640)
    add(file, [ENTRY])
    assert file.read_text() == TEXT + "  - name: new\n    host: b\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in file.parent.iterdir()] != []
    assert not list(file.parent.glob(".servers*"))


@has_links
def test_a_link_stays_one(file: Path, home: Path) -> None:
    link = home / "link.yaml"
    link.symlink_to(file)
    add(link, [ENTRY])
    assert link.is_symlink()
    assert names(file) == ["old", "new"]


def test_a_new_file_is_the_sample_with_it(home: Path) -> None:
    path = home / "new" / "servers.yaml"
    add(path, [ENTRY])
    assert names(path) == ["new"]
    assert "# The servers of trayconnect" in path.read_text()


@pytest.mark.parametrize(
    ("text", "entry", "words"),
    [
        ("servers: null\n", ENTRY, "written as null"),
        ("servers:\n  - nam: x\n", ENTRY, "a mistake to correct first"),
        (TEXT, NewEntry({"name": "OLD", "host": "b"}), "upper and lower case"),
        (TEXT, NewEntry({"name": "x", "host": "a b"}), "spaces"),
        ("servers:\n  - {name: a, host: b}\n...\n", ENTRY, "its end is marked"),
    ],
)
def test_what_cannot_be_added_is_shown_and_nothing_changes(
    file: Path, text: str, entry: NewEntry, words: str
) -> None:
    file.write_text(text)
    with pytest.raises(ProblemError) as caught:
        add(file, [entry])
    problem = caught.value.problem
    assert words in problem.title
    assert f"- name: {entry.name}" in problem.advice
    assert file.read_text() == text


def test_not_utf_8(file: Path) -> None:
    file.write_bytes(b"# \xe9\n")
    with pytest.raises(ProblemError, match="cannot be read"):
        add(file, [ENTRY])
    assert file.read_bytes() == b"# \xe9\n"


# --- the commands ---------------------------------------------------------------------------------


def test_add(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "ssh -L 8888:localhost:8888 ada@gpu -J gate -A"
    assert main.run(["add", command]) == 0
    out, err = capsys.readouterr()
    assert out == f"Added “gpu” to {file}\n"
    assert err == "Left out: -A: trayconnect does not forward the agent\n"
    server = load(file).servers[1]
    assert (server.host, server.username, server.local_port) == ("gpu", "ada", 8888)
    assert [hop.host for hop in server.jump_hosts] == ["gate"]
    assert server.jupyter.port == 8888


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("here.pem", "~/downloads/here.pem"),  # as ssh takes it
        (".ssh/mine", "~/.ssh/mine"),  # as it was once typed in the home
        ("gone.pem", "~/downloads/gone.pem"),
        ("../outside.pem", "~/outside.pem"),
        ("~/x/y", "~/x/y"),
        pytest.param("/etc/key", "/etc/key", marks=has_posix_paths),
    ],
)
def test_add_keeps_a_key_that_means_the_same_in_every_folder(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    for name in ("downloads/here.pem", ".ssh/mine", "outside.pem"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).touch()
    monkeypatch.chdir(home / "downloads")
    assert main.run(["add", f"ssh -i {given} ubuntu@aws"]) == 0
    assert f"identity_file: {kept}}}" in file.read_text()


def test_add_takes_separate_words(file: Path) -> None:
    assert main.run(["add", "--name", "Box", "--", "ssh", "-p", "2222", "gpu"]) == 0
    assert main.run(["add", "ssh", "-p", "22", "gpu", "--", "top"]) == 0
    assert names(file) == ["old", "Box", "gpu"]


@has_ssh
@pytest.mark.parametrize(
    ("first", "second", "added"),
    [
        ("ssh ada@gpu.example.org", "ssh -l ada -p 22 gpu.example.org", False),
        ("ssh ada@gpu.example.org", "ssh bob@gpu.example.org", True),
        ("ssh ada@gpu.example.org", "ssh -p 23 ada@gpu.example.org", True),
        ("ssh ada@gpu.example.org", "ssh -J gate ada@gpu.example.org", True),
        ("ssh -p 2222 -J gate ada@gpu.example.org", "ssh gpu", False),
        ("ssh gpu", "ssh ada@gpu -J gate", False),
        ("ssh -L 8888:localhost:8888 x", "ssh x -L 8888:127.0.0.1:8888", False),
        ("ssh -L 8888:localhost:8888 x", "ssh x", False),
        ("ssh x", "ssh -L 8888:localhost:8888 x", True),
        ("ssh -L 8888:localhost:8888 x", "ssh -L 9999:localhost:8888 x", True),
        ("ssh -L 9999:localhost:8888 x", "ssh -L 9999:localhost:8888 x", False),
        ("ssh -L 80:localhost:8888 x", "ssh -L 80:localhost:8888 x", False),
        ("ssh -D 1080 -R 9000:a:1 x", "ssh -R 9000:a:1 -D 1080 x", False),
        ("ssh -D 1080 x", "ssh -D 1081 x", True),
        ("ssh -L 8888:localhost:1 a ssh -L 1:localhost:8888 b", "ssh -J a -L 8888:localhost:8888 b",
         False),
    ],
)  # fmt: skip
def test_add_of_what_is_there_already(
    file: Path, first: str, second: str, added: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["add", first]) == 0
    before = file.read_text()
    capsys.readouterr()
    assert main.run(["add", "--name", "Other", second]) == 0
    assert (file.read_text() != before) is added
    out = capsys.readouterr().out
    if not added:
        assert "already" in out
        assert "--again" in out
        assert main.run(["add", "--name", "Other", "--again", second]) == 0
    assert names(file)[-1] == "Other"
    assert main.run(["check"]) == 0


@has_ssh
def test_import_of_what_is_there_already(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["import", "gpu"]) == 0
    assert main.run(["import", "gpu", "gate"]) == 0
    assert names(file) == ["old", "gpu", "gate"]
    assert "gpu is in" in capsys.readouterr().out
    assert main.run(["import", "--again", "gpu"]) == 0
    assert names(file) == ["old", "gpu", "gate", "gpu 2"]


def test_what_is_refused_writes_nothing(home: Path) -> None:
    for command in ("ssh gpu”", "ssh –L 8888:localhost:8888", "ssh <you>@gpu", "ssh gpu; ls"):
        assert main.run(["add", command]) == main.USAGE
    assert not (home / "servers.yaml").exists()


FORWARDED = [
    "ssh -D 1080 -R 9000:localhost:3000 -L 8888:localhost:8888 ada@gpu",
    "ssh -D 1080 -D '*:1081' -D /tmp/s -R '[::1]:9000:[::1]:3000' -R 0:a:1 -R 0:a:2 -R 9 gpu",
    "ssh -L /tmp/a:/run/b -R /run/c:/tmp/d -L '/tmp/e f:h:80' -L '/tmp/g\\:h:h:80' gpu",
    "ssh -L 8888:localhost:8888 -D 8888 -L 8888:h:80 -R 9000:a:1 -R 9000:b:2 -D 80 gpu",
    "ssh -L gate:5000:h:80 -L 5001:h:81 -L x/y:h:80 -D 5000 -D 5000 gpu",
    f"ssh -L /tmp/{'x' * 50}/b:/run/a -L /tmp/{'y' * 20}{'x' * 50}/b:/run/a gpu",
]


@pytest.mark.parametrize("command", FORWARDED)
def test_every_forward_that_is_kept_loads(file: Path, command: str) -> None:
    for number in range(2):
        assert main.run(["add", "--again", command]) == 0
        server = load(file).servers[-1]
        assert server.name == ("gpu 2" if number else "gpu")
        assert server.forwards or number
    assert main.run(["check"]) == 0


@has_ssh
def test_forwards_that_are_added_are_those_of_the_command(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["add", FORWARDED[0]]) == 0
    assert capsys.readouterr().err == ""
    server = load(file).servers[-1]
    assert (server.local_port, server.jupyter.port) == (8888, 8888)
    assert [(str(one.listens("127.0.0.1")), str(one.leads_to)) for one in server.forwards] == [
        ("127.0.0.1:1080", "None"),
        ("localhost:9000", "localhost:3000"),
    ]
    assert main.run(["check"]) == 0
    assert capsys.readouterr().out == f"{file}: 2 servers, no problems\n"


def test_what_of_forwards_is_not_kept_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in FORWARDED[3:5]:
        assert main.run(["add", command]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"Left out: {words}"
        for words in (
            "the local port 8888: it is used already; -D 8888 is left out",
            "the local port 8888: it is used already; another is chosen",
            "-R 9000:b:2: another one listens there",
            "the local port 80: only root may listen there; -D 80 is left out",
            (
                "-L gate:5000:h:80: bind_address must be an IP address, localhost, or '*' for "
                "every address"
            ),
            "-L x/y:h:80: local_socket must be a whole path: begin it with '/' or '~/'",
        )
    ]


def test_add_to_a_broken_file_shows_what_to_add(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("servers:\n  - nam: x\n")
    assert main.run(["add", "ssh gpu"]) == main.MENDABLE
    err = capsys.readouterr().err
    assert f"{file}:2:5" in err
    assert "- name: gpu\n    host: gpu\n" in err
    assert file.read_text() == "servers:\n  - nam: x\n"


@pytest.mark.parametrize(
    "words",
    [("--dry-run", "ssh gpu"), ("ssh gpu", "--dry-run"), ("ssh gpu", "--dry-run", "--name=gpu")],
)
def test_add_may_only_show(
    file: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["add", *words]) == 0
    assert capsys.readouterr().out == "- name: gpu\n  host: gpu\n"
    assert file.read_text() == TEXT


def test_add_refuses_what_is_not_ssh(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["add", "curl x"]) == main.USAGE
    assert "Nothing was added: it begins with 'curl'" in capsys.readouterr().err
    assert file.read_text() == TEXT


@has_ssh
def test_import_lists(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(file, [NewEntry({"name": "x", "host": "gate"})])
    before = file.read_text()
    assert main.run(["import"]) == 0
    gpu, gate = capsys.readouterr().out.splitlines()
    assert gpu == "  1  gpu   ada@gpu.example.org:2222 through gate"
    assert gate.startswith("  2  gate  ")
    assert gate.endswith("@gate  (has an entry)")
    assert file.read_text() == before


@has_ssh
def test_import_by_name(file: Path) -> None:
    assert main.run(["import", "gate"]) == 0
    assert file.read_text() == TEXT + (
        "  - name: gate\n    host: gate\n    jupyter: {port: 8890}\n"
    )


@has_ssh
def test_import_all_takes_what_is_missing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["import", "gpu"]) == 0
    assert main.run(["import", "--all"]) == 0
    assert names(file) == ["old", "gpu", "gate"]
    capsys.readouterr()
    assert main.run(["import", "--all"]) == 0
    assert "already" in capsys.readouterr().out


@has_ssh
def test_import_of_an_unknown_host(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["import", "gpu1"]) == main.MENDABLE
    assert "Did you mean gpu?" in capsys.readouterr().err
    assert file.read_text() == TEXT


def test_import_without_hosts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "ssh_config").write_text("Host *\n")
    assert main.run(["import"]) == main.MENDABLE
    assert "names no host" in capsys.readouterr().err


@has_ssh
def test_import_asks_on_a_terminal(file: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("it has no pseudoterminals like POSIX")
    import pty

    master, slave = pty.openpty()
    program = (sys.executable, "-m", "trayconnect", "import")
    with subprocess.Popen(program, stdin=slave, stdout=subprocess.PIPE, text=True) as process:
        os.write(master, b"7\ngate 1-1\n")
        out, _ = process.communicate(timeout=60)
    os.close(master)
    os.close(slave)
    assert process.returncode == 0
    assert out.count("Which?") == 2
    assert names(file) == ["old", "gate", "gpu"]


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        ("", []),
        ("1", ["a"]),
        ("2-3 a", ["b", "3-c", "a"]),
        ("3-c", ["3-c"]),
        ("all", ["a", "b", "3-c"]),
    ],
)
def test_choice(answer: str, hosts: list[str]) -> None:
    assert choice(answer, ["a", "b", "3-c"]) == hosts


@pytest.mark.parametrize("answer", ["0", "4", "3-1", "x", "1-", "-1"])
def test_no_choice(answer: str) -> None:
    with pytest.raises(ValueError, match=answer):
        choice(answer, ["a", "b", "c"])


@has_ssh
def test_check_tells_what_is_not_honoured(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "ssh_config").write_text("Host a\n  ForwardAgent yes\n")
    assert main.run(["check"]) == 0
    assert "old: a: ForwardAgent is ignored" in capsys.readouterr().out


@has_ssh
@has_posix_paths
def test_check_names_identity_files_that_are_missing(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Host a\n  IdentityFile /nowhere/id_a\n  IdentityFile /nowhere/id_b\n"
    (file.parent / "ssh_config").write_text(text)
    assert main.run(["check"]) == 0
    said = capsys.readouterr().out
    for name in ("id_a", "id_b"):
        assert f"old: a: IdentityFile /nowhere/{name} does not exist" in said
    assert said.count("does not exist") == 2


@has_ssh
def test_check_tells_what_ssh_refuses(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "ssh_config").write_text("Host a\n  Prot 1\n")
    assert main.run(["check"]) == main.MENDABLE
    assert "ssh_config line 2" in capsys.readouterr().err


@has_ssh
def test_check_tells_of_forwards_that_are_not_opened(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT + "    local_port: 5000\n")
    (file.parent / "ssh_config").write_text(
        "Host a\n  LocalForward 5000 b:80\n  RemoteForward 9\n  LocalForward 5001 b:80\n"
    )
    assert main.run(["check"]) == 0
    told = capsys.readouterr().out
    assert "old: a: LocalForward 5000 b:80 is not opened: local_port of the entry listens" in told
    assert "old: a: RemoteForward 9 is not opened: trayconnect offers no" in told
    assert "5001" not in told


def test_without_openssh_the_commands_say_what_to_install(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main.run(["add", "ssh -p 23 ada@box"]) == 0
    assert names(file) == ["old", "box"]
    capsys.readouterr()
    assert main.run(["check"]) == 0
    note = f"{home / 'ssh_config'} is not used. Install OpenSSH's client to use it"
    assert capsys.readouterr().out.count(note) == 1
    assert main.run(["import"]) == main.MENDABLE
    assert "without OpenSSH's client" in capsys.readouterr().err
    (found,) = doctor._ssh()
    assert found.mark is doctor.Grade.PROBLEM
    assert "Install OpenSSH's client" in found.advice
    (home / "ssh_config").write_text("Host *\n  SendEnv LANG\n")
    (found,) = doctor._ssh()
    assert found.mark is doctor.Grade.NOTE

"""From the command line of ssh in somebody's notes to an entry of the file."""

from __future__ import annotations

import getpass
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.systems import has_posix_paths, has_ssh
from trayconnect.config.edit import as_text
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.forward_syntax import parse as parse_forward
from trayconnect.config.model import Config
from trayconnect.config.new_entry import NewEntry, from_aliases, from_command, unique_name
from trayconnect.config.pasted_command import parse_command
from trayconnect.config.shell_words import CommandError
from trayconnect.config.yaml_file import parse

PAGE = {"jupyter": {"port": 8888}, "local_port": 8888}
FILE = """\
servers:
  - {name: gpu, host: gpu, local_port: 9999}
  - {name: GPU 2, host: gpu, forwards: [{name: TB, port: 6006, local_port: 6006}]}
"""


def made(command: str, file: str = "", name: str | None = None) -> tuple[dict[str, Any], list[str]]:
    config = parse(file, Path("servers.yaml"))
    entry = from_command(parse_command([command]), config, name)
    return entry.data, list(entry.notes)


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ("ssh gpu", {}),
        ("ssh -L 8888:localhost:8888 ada@gpu -J gate",
         {"username": "ada", "jump_hosts": ["gate"], **PAGE}),
        ("ssh -NfL8888:localhost:8888 gpu -p22 -l ada", {"port": 22, "username": "ada", **PAGE}),
        ("$ autossh -M 0 -fN -L 8888:127.0.0.1:8888 -p 22 gpu &", {"port": 22, **PAGE}),
        ("AUTOSSH_PORT=0 nohup /usr/bin/autossh -M20000 gpu -L 8888:localhost:8888", PAGE),
        ("ssh.exe ssh://ada@gpu:2022/", {"username": "ada", "port": 2022}),
        ("-L 8888:localhost:8888 gpu", PAGE),
        ("ssh gpu -i '~/my keys/id'", {"auth": {"identity_file": "~/my keys/id"}}),
        ("ssh -J ada@a:2,[::1]:7,c gpu", {"jump_hosts": ["ada@a:2", "[::1]:7", "c"]}),
        ("ssh -J none gpu", {"jump_hosts": []}),
        ("ssh -L 9000:node7:8890 gpu",
         {"jupyter": {"host": "node7", "port": 8890}, "local_port": 9000}),
        ("ssh -L 5000:localhost:5001 gpu", {"jupyter": {"port": 5001}, "local_port": 5000}),
        ("ssh -L 6006:localhost:6006 -L 1234:localhost:8889 gpu",
         {"jupyter": {"port": 8889}, "local_port": 1234,
          "forwards": [{"name": "TensorBoard", "local_port": 6006, "port": 6006}]}),
        ("ssh -L 2000:a:2001 -L 2002:b:2001 gpu",
         {"forwards": [{"name": "Port 2001", "local_port": 2000, "host": "a", "port": 2001},
                       {"name": "Port 2001 2", "local_port": 2002, "host": "b", "port": 2001}]}),
        ("ssh -D 1080 -R 9000:localhost:22 -R *:7:[::1]:8 -L /tmp/s:/run/x gpu",
         {"forwards": ["-D 1080", "-R 9000:localhost:22", "-R *:7:[::1]:8", "-L /tmp/s:/run/x"]}),
        ("ssh -o User=ada -oPort=7 -o 'IdentityFile ~/k' -o ProxyJump=g -o ConnectTimeout=1m gpu",
         {"port": 7, "username": "ada", "auth": {"identity_file": "~/k"}, "jump_hosts": ["g"],
          "connect_timeout": 60}),
        ("ssh -o ServerAliveInterval=60 -o ServerAliveCountMax=5 -o ExitOnForwardFailure=yes gpu",
         {"keepalive": {"interval": 60, "count_max": 5}}),
        ("ssh -o 'LocalForward 8888 localhost:8888' gpu", PAGE),
        ("ssh -tvvqxTn -e none -E log -S /tmp/x -O check gpu", {}),
    ],
)  # fmt: skip
def test_what_is_kept(command: str, data: dict[str, Any]) -> None:
    assert made(command) == ({"name": "gpu", "host": "gpu", **data}, [])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ssh -A gpu", "trayconnect does not forward the agent"),
        ("ssh -g gpu", "only this machine can connect"),
        ("ssh -o StrictHostKeyChecking=no gpu", "always checks the host key"),
        ("ssh -o ServerAliveCountMax=1000 gpu", "at most 100"),
        ("ssh gpu htop -d 5", "the command 'htop -d 5'"),
        ("ssh gpu -- ls", "the command 'ls'"),
        ("ssh gpu 'tmux new -d jupyter lab'", "the command 'tmux new -d jupyter lab'"),
        ("ssh -4 gpu", "AddressFamily inet"),
        ("ssh -i a -i b gpu", "-i b"),
        ("ssh -X gpu", "forward X11"),
        ("ssh -L 0.0.0.0:8888:localhost:8888 gpu", "only this machine can connect"),
        ("ssh -L *:8888:localhost:8888 gpu", "only this machine can connect"),
        ("ssh -L 80:localhost:8888 gpu", "only root may listen there; another is chosen"),
        ("ssh -R 99 gpu", "no SOCKS proxy"),
        ("ssh -D 99 gpu", "-D 99 is left out"),
    ],
)
def test_what_is_not_kept_is_said(command: str, words: str) -> None:
    _, notes = made(command)
    assert len(notes) == 1
    assert words in notes[0]


@has_posix_paths
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "empty"),
        ("curl x", "begins with 'curl'"),
        ("ssh", "no host"),
        ("ssh -p 22", "no host"),
        ("ssh 'gpu", "quote"),
        ("ssh -Z gpu", "knows no option -Z"),
        ("ssh gpu -p", "needs a value"),
        ("ssh -p x gpu", "no port"),
        ("ssh -L 8888 gpu", "-L 8888"),
        ("ssh -J a,,b gpu", "-J a,,b"),
        ("ssh -o Port gpu", "a value is missing"),
        ("ssh @gpu", "user's name"),
        # what an entry cannot hold
        ("ssh -F other gpu", "TRAYCONNECT_SSH_CONFIG"),
        ("ssh -P tag gpu", "leave -P out"),
        ("ssh -W x:1 gpu", "for a forward"),
        ("ssh -o HostName=1.2.3.4 gpu", "write 1.2.3.4 as the host"),
        ("ssh -o ProxyCommand='nc %h %p' gpu", "below 'Host gpu'"),
        ("ssh -o ProxyCommand='ssh -i ~/k -W %h:%p gate' gpu", "below 'Host gpu'"),
        ("ssh -o ProxyCommand=x -J a gpu", "all jump hosts in one -J"),
        ("ssh -J a -J b gpu", "all jump hosts in one -J"),
        ("ssh -J a,gpu gpu", "the host itself"),
        ("ssh -o Prot=22 gpu", "no 'prot'"),
        # other programs, and more than one command
        ("sudo ssh gpu", "leave sudo out"),
        ("sshpass -p secret ssh gpu", "leave it and the password out"),
        ("mosh ada@gpu", "begins with 'mosh'"),
        ("plink -ssh ada@gpu", "other options"),
        ("time ssh gpu", "begins with 'time'"),
        ("ssh gpu && jupyter lab", "'jupyter lab' is another command"),
        ("ssh gpu; ls", "'ls' is another command"),
        ("ssh gpu | tee log", "'tee log' is another command"),
        ("ssh gpu\nssh gpu2", "'ssh gpu2' is another command"),
        # what a text processor, a manual or a shell makes of it
        ("ssh -L 8888:localhost:8888 gpu”", 'gpu".*quote'),
        ("ssh ada@gpu–box", "en dash"),
        ("ssh “gpu–box”", "en dash"),
        ("ssh ada＠gpu", "fullwidth"),
        ("ssh \x1b[1mgpu", "control character"),
        ("ssh -L $PORT:localhost:8888 gpu", r"\$PORT is a variable"),
        ("ssh $(whoami)@gpu", "write its value"),
        ("ssh `hostname`", "write what it prints"),
        ("ssh %LOGIN%@gpu", "%LOGIN% is a variable"),
        ("ssh <user>@gpu", "<user> is a placeholder"),
        ("ssh '<your user>@gpu'", "is a placeholder"),
        ("ssh ada@gpu -L <port>:localhost:8888", "<port> is a placeholder"),
        ("ssh ada@gpu -L XXXX:localhost:8888", "-L XXXX:localhost:8888"),
        ("ssh ada@gpu -L 8888:NODE:8888", "NODE is a placeholder"),
        ("ssh your_username@gpu", "your_username.* is a placeholder"),
        ("ssh USER@HOST", "HOST is a placeholder"),
        ("ssh ada@{host}", "is a placeholder"),
        ("ssh -J USER@gate gpu", "USER is a placeholder"),
        ("ssh [user@]gpu", "is a placeholder"),
        ("ssh -l <you> gpu", "<you> is a placeholder"),
        ("ssh -i /path/to/key gpu", "/path/to/key is a placeholder"),
        ("ssh -i ~/.ssh/%h gpu", "without %"),
        ("ssh -i 'C:\\Users\\ada\\id' gpu", "path of Windows"),
        ("ssh gpu:2222", "-p 2222 gpu"),
        ("ssh -p 22 -- -oProxyCommand=x", "begin with '-'"),
        ("ssh ada@gpu,gpu2", "must not contain ,"),
        ("ssh 'gpu;x'", "must not contain ;"),
        ("ssh -l 'a b;c' gpu", "must not contain ;"),
        # another ssh at the server
        (
            "ssh -L 8888:localhost:8888 ada@login ssh node",
            "ssh -J ada@login -L 8888:localhost:8888",
        ),
        ("ssh -D 1080 login ssh node", "ssh -J login -D 1080 node"),
        ("ssh login 'cd x; ssh node'", "one of several commands"),
        ("ssh gpu 'jupyter lab' -L 8888:localhost:8888", "write it before the host"),
    ],
)
def test_what_is_refused(command: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        parse_command([command])


@pytest.mark.parametrize(
    "text",
    [
        "$ ssh -p 7 ada@gpu",
        "% ssh -p 7 ada@gpu",
        "# ssh -p 7 ada@gpu",
        "❯ ssh -p 7 ada@gpu",
        "ada@laptop:~$ ssh -p 7 ada@gpu",
        "[ada@laptop ~]$ ssh -p 7 ada@gpu",
        "(base) ada@laptop:~/x$ ssh -p 7 ada@gpu",
        "ada@mac ~ % ssh -p 7 ada@gpu",
        "root@box:/# ssh -p 7 ada@gpu",
        "➜  ~ ssh -p 7 ada@gpu",
        "➜  thesis git:(main) ✗ ssh -p 7 ada@gpu",
        "┌──(kali㉿kali)-[~]\n└─$ ssh -p 7 ada@gpu",
        "PS C:\\Users\\ada> ssh -p 7 ada@gpu",
        "C:\\Users\\ada>ssh.exe -p 7 ada@gpu",
        "C:\\Windows\\System32\\OpenSSH\\ssh.exe -p 7 ada@gpu",
        "# ssh to the box\nssh -p 7 ada@gpu",
        "ssh -p 7 ada@gpu  # my box",
        "`ssh -p 7 ada@gpu`",
        "```bash\nssh -p 7 ada@gpu\n```",
        "ssh -p 7 \\\n  ada@gpu",
        "ssh -p 7 \\  \r\n> ada@gpu\r\n",
        "ssh -p 7 ^\n ada@gpu",
        "ssh -p 7 `\n  ada@gpu",
        "ssh –p 7 “ada@gpu”",
        "ssh —p 7 ‘ada@gpu’",
        "ssh\u00a0-p\u00a07 \u200bada@gpu\ufeff",
        "(ssh -N -p 7 ada@gpu &)",
        "ssh -N -p 7 ada@gpu > /dev/null 2>&1 &",
        "ssh -p7 -l ada gpu",
        "ssh -o User=ada -oPort=7 gpu",
    ],
)
def test_it_is_read_as_it_was_typed(text: str) -> None:
    assert made(text) == ({"name": "gpu", "host": "gpu", "port": 7, "username": "ada"}, [])


def test_words_that_a_shell_split_already() -> None:
    words = ["ada@laptop:~$", "ssh", "–p", "7", "\u200bada@gpu\\\n"]
    command = parse_command(words)
    assert (command.host, command.user, command.port) == ("gpu", "ada", 7)
    with pytest.raises(CommandError, match="curly quote"):
        parse_command(["ssh", "ada@gpu”"])


@has_posix_paths
@pytest.mark.parametrize(
    ("text", "user", "key"),
    [
        ("ssh -i $HOME/.ssh/id ${USER}@gpu", "local", "~/.ssh/id"),
        ('ssh -i "$env:USERPROFILE\\.ssh\\id" CORP\\ada@gpu', "CORP\\ada", "~/.ssh/id"),
        ("ssh -i %USERPROFILE%\\.ssh\\id ada@realm@gpu", "ada@realm", "~/.ssh/id"),
    ],
)
def test_variables_and_accounts(text: str, user: str, key: str) -> None:
    command = parse_command([text], "local")
    assert (command.user, command.identity_files) == (user, [key])


def test_a_name_of_ssh_config_is_no_placeholder() -> None:
    assert parse_command(["ssh HOST"], None, ["HOST"]).host == "HOST"


NODE = {"name": "node123", "host": "node123", **PAGE}


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ("ssh -t -L 8888:localhost:8888 ada@login ssh -L 8888:localhost:8888 node123",
         {**NODE, "username": "ada", "jump_hosts": ["ada@login"]}),
        ("ssh -L 8888:localhost:7 -p 2 login -t 'ssh -N -L 7:localhost:8888 bob@node123'",
         {**NODE, "username": "bob", "jump_hosts": ["login:2"]}),
        ("ssh -L 8888:localhost:7 login 'bash -lc \"ssh -L 7:localhost:8888 $USER@node123\"'",
         {**NODE, "jump_hosts": ["login"]}),
        ("ssh -J a -L 8888:localhost:2 b ssh -p 9 -L 2:localhost:3 c ssh -L 3:[::1]:8888 node123",
         {**NODE, "jupyter": {"host": "::1", "port": 8888}, "jump_hosts": ["a", "b", "c:9"]}),
        ("ssh -L 8888:/tmp/s login ssh -L /tmp/s:localhost:8888 node123",
         {**NODE, "jump_hosts": ["login"]}),
        ("ssh -L 8888:localhost:7 login ssh -L 7:localhost:8888 node123 jupyter lab --port=8888",
         {**NODE, "jump_hosts": ["login"], "start": True}),
        ("ssh -L 1080:localhost:1081 login ssh -D 1081 node123",
         {"name": "node123", "host": "node123", "jump_hosts": ["login"], "forwards": ["-D 1080"]}),
        ('ssh -o ProxyCommand="ssh -W %h:%p gate" node123',
         {"name": "node123", "host": "node123", "jump_hosts": ["gate"]}),
        ("ssh -o 'ProxyCommand ssh -q -p 2 ada@gate nc -w 3 %h %p' node123",
         {"name": "node123", "host": "node123", "jump_hosts": ["ada@gate:2"]}),
        ("ssh -o ProxyCommand=none node123",
         {"name": "node123", "host": "node123", "jump_hosts": []}),
    ],
)  # fmt: skip
def test_the_way_through_other_hosts(command: str, data: dict[str, Any]) -> None:
    assert made(command) == (data, [])


@pytest.mark.parametrize(
    ("there", "start"),
    [
        ("jupyter lab --no-browser --port=8888", True),
        ("'jupyter lab --no-browser --port 8888 &'", True),
        ("jupyter-notebook --no-browser", {"app": "notebook"}),
        ("python3 -m jupyterlab", True),
        ("~/venv/bin/jupyter lab ~/work", {"environment": {"venv": "~/venv"}, "folder": "~/work"}),
        ("'cd ~/thesis && conda activate ml && jupyter lab'",
         {"folder": "~/thesis", "environment": {"conda": "ml"}}),
        ("'module load python jupyter; nohup jupyter lab —no-browser'",
         {"environment": {"module": ["python", "jupyter"]}}),
        ("conda run -n ml jupyter lab --ServerApp.root_dir=/data --debug",
         {"environment": {"conda": "ml"}, "folder": "/data", "options": ["--debug"]}),
    ],
)  # fmt: skip
def test_a_command_of_jupyter_becomes_its_start(there: str, start: object) -> None:
    data, notes = made(f"ssh -L 8888:localhost:8888 gpu {there}")
    assert data == {"name": "gpu", "host": "gpu", **PAGE, "start": start}
    assert notes == []
    parse(as_file(data), Path("servers.yaml"))


def test_the_token_of_a_command_is_not_kept() -> None:
    data, notes = made("ssh gpu jupyter lab --IdentityProvider.token=secret --port=9")
    assert data["start"] is True
    assert data["jupyter"] == {"port": 9}
    assert "secret" not in f"{data}{notes}"


def as_file(data: dict[str, Any]) -> str:
    return "servers:\n" + as_text([NewEntry(data)])


_NAMES = st.sampled_from(["gpu", "gpu-1", "gate.example.org", "192.0.2.7", "login_1", "node"])
_USERS = st.sampled_from(["ada", "ada.l", "CORP\\\\ada", "ada@realm"])
_PORTS = st.integers(1024, 65535)
_OPTIONS = st.one_of(
    st.builds("-p {}".format, _PORTS),
    st.builds("-oPort={}".format, _PORTS),
    st.builds("-l {}".format, _USERS),
    st.builds("-o User={}".format, _USERS),
    st.builds("-J {}@{}:{},{}".format, st.sampled_from(["ada", "bob"]), _NAMES, _PORTS, _NAMES),
    st.builds("-o ProxyJump={}".format, _NAMES),
    st.builds("-L {}:{}:{}".format, _PORTS, _NAMES, _PORTS),
    st.builds("-NfL {}:localhost:{}".format, _PORTS, _PORTS),
    st.builds("-D {}".format, _PORTS),
    st.builds("-R {}:localhost:{}".format, _PORTS, _PORTS),
    st.builds("-o 'LocalForward {} localhost:{}'".format, _PORTS, _PORTS),
    st.sampled_from(["-N", "-fN", "-v", "-C", "-t", "-q", "-o Compression=yes"]),
)


@has_ssh
@given(
    before=st.lists(_OPTIONS, max_size=4),
    after=st.lists(_OPTIONS, max_size=2),
    user=st.one_of(st.none(), _USERS),
    host=_NAMES,
)
def test_an_entry_says_what_ssh_says(
    before: list[str], after: list[str], user: str | None, host: str
) -> None:
    """`ssh -G` of the same command names the same account, way and forwards; or it is refused by
    both, or by us with a reason."""
    place = f"{user}@{host}" if user else host
    command = " ".join(["ssh -F none", *before, place, *after])
    answer = subprocess.run(
        ["sh", "-c", command.replace("ssh", "ssh -G", 1)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        entry = from_command(parse_command([command.replace(" -F none", "")]), Config())
    except CommandError:
        return
    assert answer.returncode == 0, answer.stderr
    (server,) = parse(as_file(entry.data), Path("servers.yaml")).servers
    printed = [line.partition(" ")[::2] for line in answer.stdout.splitlines()]
    said = dict(printed)
    assert (server.host, str(server.port)) == (said["hostname"], said["port"])
    assert server.username in (None, said["user"])
    if server.username is None:
        assert said["user"] == getpass.getuser()
    jumps = [
        (f"{one.username}@" if one.username else "")
        + one.host
        + (f":{one.port}" if "port" in one.model_fields_set else "")
        for one in server.jump_hosts
    ]
    assert ",".join(jumps) == re.sub(r"\[([0-9.]+)\]", r"\1", said.get("proxyjump", ""))
    if entry.notes:  # two forwards from the same port
        return
    asked = sorted(
        value
        for key, value in printed
        if key in ("localforward", "dynamicforward", "remoteforward")
    )
    kept = [
        f"{one.listens('').port if one.kind is Kind.REMOTE else one.local_port} "  # type: ignore[union-attr]
        + (_bracketed(str(one.leads_to)) if one.leads_to else "")
        for one in server.forwards
    ]
    if server.jupyter.port != "auto":
        kept.append(f"{server.local_port} [{server.jupyter.host}]:{server.jupyter.port}")
    assert sorted(text.strip() for text in kept) == asked


def _bracketed(place: str) -> str:
    host, _, port = place.rpartition(":")
    return f"[{host}]:{port}"


@has_ssh
def test_every_option_of_ssh_is_known() -> None:
    usage = subprocess.run(["ssh"], capture_output=True, text=True, check=False).stderr
    flags, *_ = usage.split("[-", 1)[1].split("]")
    for letter in flags:
        parse_command(["ssh", f"-{letter}", "gpu"])
    for part in usage.split("[-")[2:]:
        letter, value = part[0], part[1:].split("]")[0].strip()
        assert value
        text = {"L": "1:a:2", "R": "1:a:2", "D": "1", "p": "1", "o": "Port=1"}.get(letter, "x")
        try:
            parse_command(["ssh", f"-{letter}", text, "gpu"])
        except CommandError as error:
            assert "knows no option" not in str(error)  # noqa: PT017


def test_names_and_ports_of_the_file_are_not_used_twice() -> None:
    data, notes = made("ssh -L 6006:localhost:8888 gpu", FILE)
    assert data == {"name": "gpu 3", "host": "gpu", "jupyter": {"port": 8888}}
    assert notes == ["the local port 6006: “GPU 2” has it; another is chosen"]
    assert made("ssh gpu", FILE, "My box")[0]["name"] == "My box"


def test_unique_names_stay_short() -> None:
    assert unique_name("x" * 90, set()) == "x" * 80
    assert unique_name("X" * 90, {"x" * 80}) == "X" * 78 + " 2"


def test_aliases() -> None:
    entries = from_aliases(
        [
            ("gpu", [parse_forward(Kind.LOCAL, "1234:localhost:8889")]),
            ("GPU", [parse_forward(Kind.LOCAL, "1:localhost:5432")]),
        ],
        Config(),
    )
    assert [entry.data for entry in entries] == [
        {"name": "gpu", "host": "gpu", "jupyter": {"port": 8889}},
        {"name": "GPU 2", "host": "GPU"},
    ]

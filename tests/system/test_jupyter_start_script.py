"""The script that starts, by many shells and for every kind of environment, with a stand-in for
Jupyter that tells how it was begun."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.far_account import is_alive
from tests.support.servers import make_server
from tests.support.waiting import wait_for
from trayconnect.services.jupyter.start import StartResult, parse, script

SHELLS = ["sh", "dash", "bash", "bash --posix", "busybox sh"]
LIMIT = 120.0

ALONE: Mapping[str, object] = {"socket": "never"}
"""On a machine that others use, a start of any other kind would take a socket."""

STAND_IN = """\
#!/bin/sh
printf '%s\\n' "$PWD" "$*" "${CONDA_PREFIX-}" "${VIRTUAL_ENV-}" "$(umask)" "${TOOL-}" >"$HOME/begun"
env >"$HOME/environment"
runtime=${JUPYTER_RUNTIME_DIR:-$HOME/.local/share/jupyter/runtime}
mkdir -p "$runtime"
echo '{}' >"$runtime/jpserver-$$.json"
exec sleep 600
"""


@dataclass
class Account:
    home: Path
    pids: set[int] = field(default_factory=set)

    def install(self, folder: Path, text: str = STAND_IN, app: str = "lab") -> Path:
        """A stand-in for Jupyter in a folder of programs."""
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / f"jupyter-{app}"
        program.write_text(text)
        program.chmod(0o755)
        return folder

    def start(
        self,
        start: Mapping[str, object] = ALONE,
        *,
        shell: str = "sh",
        limit: int = 30,
        **environment: str,
    ) -> StartResult:
        done = subprocess.run(
            shell.split(),
            input=script(make_server(start={**ALONE, **start}), limit).encode(),
            env={
                "HOME": str(self.home),
                "PATH": f"{self.home}/plain",
                "SHELL": "",
                **environment,
            },
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.stderr == b""
        started = parse(done.stdout.decode())
        if started.pid is not None:
            self.pids.add(started.pid)
        return started

    @property
    def begun(self) -> list[str]:
        """Folder, arguments, conda and virtual environment, mask, and a variable."""
        return (self.home / "begun").read_text().splitlines()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Without tmux and its kin."""
    plain = tmp_path / "plain"
    plain.mkdir()
    hidden = {"tmux", "screen", "systemd-run"}
    for program in Path("/usr/bin").iterdir():
        if program.name not in hidden and not program.name.startswith("jupyter"):
            (plain / program.name).symlink_to(program)
    account = Account(tmp_path)
    yield account
    for pid in account.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + LIMIT
    while any(map(is_alive, account.pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_begins_in_the_home_folder_with_the_users_mask(account: Account, shell: str) -> None:
    account.install(account.home / "bin")
    path = f"{account.home}/bin:{account.home}/plain"
    started = account.start(shell=shell, PATH=path)
    assert (started.way, started.was_running) == ("setsid", False)
    folder, arguments, *_, mask, _ = account.begun
    root = "--allow-root " if os.geteuid() == 0 else ""
    assert folder == str(account.home)
    own = "--LabApp.open_browser=False --ServerApp.sock="
    assert arguments == f"--no-browser {root}{own} --ip=127.0.0.1 --port=0"
    assert int(mask, 8) == int(subprocess.check_output(["sh", "-c", "umask"]), 8)


@pytest.mark.parametrize("shell", SHELLS)
def test_quotes_and_blanks_change_nothing(account: Account, shell: str) -> None:
    folder = account.home / 'it\'s "my" $thesis'
    folder.mkdir()
    account.install(account.home / "bin's")
    start = {"folder": f"~/{folder.name}", "options": ["--a=$(touch oops) 'x'", "--b=*"]}
    account.start(start, shell=shell, PATH=f"{account.home}/bin's:{account.home}/plain")
    assert account.begun[0] == str(folder)
    assert account.begun[1].endswith("--port=0 --a=$(touch oops) 'x' --b=*")
    assert not list(account.home.rglob("oops"))


@pytest.mark.parametrize("name", ["ml", "base", "~/miniforge3/envs/ml", "elsewhere"])
def test_a_conda_environment(account: Account, name: str) -> None:
    base = account.home / "miniforge3"
    (base / "conda-meta").mkdir(parents=True)
    account.install(base / "bin")
    account.install(base / "envs/ml/bin")
    other = account.home / "lots/envs/elsewhere"
    account.install(other / "bin")
    (account.home / ".conda").mkdir()
    (account.home / ".conda/environments.txt").write_text(f"{other}\n/gone/envs/gone\n")
    for prefix in (base, base / "envs/ml", other):
        hook = prefix / "etc/conda/activate.d/tool.sh"
        hook.parent.mkdir(parents=True)
        hook.write_text("export TOOL=$CONDA_DEFAULT_ENV\n")
    account.start({"environment": {"conda": name}})
    expected = {"base": base, "elsewhere": other}.get(name, base / "envs/ml")
    assert account.begun[2] == str(expected)
    assert account.begun[5] == expected.name


def test_base_is_the_base_and_nothing_else(account: Account) -> None:
    """environments.txt names environments that lie anywhere, too."""
    other, base = account.home / "project/env", account.home / "micromamba"
    for prefix in (other, base):
        account.install(prefix / "bin")
        (prefix / "conda-meta").mkdir()
    (account.home / ".conda").mkdir()
    (account.home / ".conda/environments.txt").write_text(f"{other}\n{base}\n")
    account.start({"environment": {"conda": "base"}})
    assert account.begun[2] == str(base)


@pytest.mark.parametrize("name", ["ml", "base"])
def test_the_root_that_a_start_up_file_names(account: Account, name: str) -> None:
    root = account.home / "deep/inside/mamba"
    prefix = root / "envs/ml" if name == "ml" else root
    (root / "conda-meta").mkdir(parents=True)
    account.install(prefix / "bin")
    (account.home / ".bash_profile").write_text(f"export MAMBA_ROOT_PREFIX={root}\n")
    account.start({"environment": {"conda": name}}, SHELL="/bin/bash")
    assert account.begun[2] == str(prefix)


@pytest.mark.parametrize("inside", [".venv", "venv", ".pixi/envs/default"])
def test_the_folders_own_environment(account: Account, inside: str) -> None:
    folder = account.home / "my thesis"
    prefix = folder / inside
    account.install(prefix / "bin")
    if "pixi" in inside:
        (prefix / "conda-meta").mkdir()
    else:
        (prefix / "bin/activate").write_text(f"export VIRTUAL_ENV='{prefix}'\n")
    account.install(account.home / "bin")
    account.start({"folder": "~/my thesis"}, PATH=f"{account.home}/bin:{account.home}/plain")
    assert account.begun[0] == str(folder)
    assert str(prefix) in account.begun[2:4]


def test_a_folder_whose_environment_has_no_jupyter(account: Account) -> None:
    (account.home / "thesis/.venv/bin").mkdir(parents=True)
    account.install(account.home / "bin")
    account.start({"folder": "thesis"}, PATH=f"{account.home}/bin:{account.home}/plain")
    assert account.begun[0] == str(account.home / "thesis")


EXPORTS = {
    "sh": (".profile", "export {}='{}'\n"),
    "bash": (".bash_profile", "export {}='{}'\n"),
    "zsh": (".zshrc", "export {}='{}'\n"),
    "fish": (".config/fish/config.fish", "set -gx {} '{}'\n"),
    "tcsh": (".cshrc", "setenv {} '{}'\n"),
}


@pytest.mark.parametrize("shell", EXPORTS)
def test_what_start_up_files_export_reaches_the_kernels(account: Account, shell: str) -> None:
    """And nothing of it is left to be read: it may be a secret."""
    account.install(account.home / ".venv/bin")
    program = shutil.which(shell)
    assert program is not None
    name, line = EXPORTS[shell]
    file = account.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {"OMP_NUM_THREADS": "4", "HF_KEY": "s3cr3t $HOME `x`", "name": "mine"}
    file.write_text("".join(line.format(key, value) for key, value in values.items()))
    account.start(SHELL=program)
    lines = (account.home / "environment").read_text().splitlines()
    for key, value in values.items():
        assert f"{key}={value}" in lines
    state = account.home / ".local/state/trayconnect"
    assert not [f for f in state.rglob("*") if f.is_file() and b"s3cr3t" in f.read_bytes()]


def test_several_lines_of_one_variable_and_what_belongs_to_the_login_alone(
    account: Account,
) -> None:
    account.install(account.home / ".venv/bin")
    (account.home / ".bash_profile").write_text(
        "export POEM='one\ntwo'\nexport TMUX=x DISPLAY=:7 JUPYTER_TOKEN=fixed\nexport app=mine\n"
        "readonly FIXED=1; export FIXED\n"
    )
    account.start(SHELL="/bin/bash")
    text = (account.home / "environment").read_text()
    assert "POEM=one\ntwo\n" in text
    assert "FIXED=1\n" in text
    for name in ("TMUX=", "DISPLAY=", "JUPYTER_TOKEN="):
        assert f"\n{name}" not in text


def test_a_personal_module_use(account: Account) -> None:
    account.install(account.home / "opt/bin")
    init = account.home / "modules/init"
    init.mkdir(parents=True)
    for shell in ("sh", "bash"):
        (init / shell).write_text(
            "MODULEPATH=${MODULEPATH:-/site}; export MODULEPATH\n"
            'module() { TOOL="$MODULEPATH $2"; export TOOL; PATH="$HOME/opt/bin:$PATH"; }\n'
        )
    (account.home / ".bash_profile").write_text(
        f"export MODULESHOME={account.home}/modules MODULEPATH=/mine:/site\n"
    )
    account.start({"environment": {"module": "jupyter"}}, SHELL="/bin/bash")
    assert account.begun[5] == "/mine:/site jupyter"


def test_an_unknown_conda_environment_is_told_with_the_known(account: Account) -> None:
    account.install(account.home / "miniforge3/envs/ml/bin")
    started = account.start({"environment": {"conda": "mi"}})
    assert started.status == 72
    assert str(account.home / "miniforge3/envs/ml") in started.looked


def test_a_virtual_environment(account: Account) -> None:
    account.install(account.home / "v/bin")
    (account.home / "v/bin/activate").write_text(
        'VIRTUAL_ENV="$HOME/v"; export VIRTUAL_ENV; PATH="$VIRTUAL_ENV/bin:$PATH"\nset -- x\n'
    )
    account.start({"environment": {"venv": "~/v"}})
    assert account.begun[3] == str(account.home / "v")
    assert "x" not in account.begun[1].split()


def test_modules(account: Account) -> None:
    account.install(account.home / "opt/bin")
    (account.home / "modules/init").mkdir(parents=True)
    for shell in ("sh", "bash"):
        (account.home / f"modules/init/{shell}").write_text(
            'module() { TOOL="${TOOL-} $2"; export TOOL; PATH="$HOME/opt/bin:$PATH"; }\n'
        )
    start = {"environment": {"module": ["python/3.12", "jupyter"]}}
    account.start(start, MODULESHOME=str(account.home / "modules"))
    assert account.begun[5] == " python/3.12 jupyter"


def test_a_line_of_bash(account: Account) -> None:
    account.install(account.home / "opt/bin")
    account.start({"environment": 'source <(echo "PATH=$HOME/opt/bin:$PATH") && export TOOL=x'})
    assert account.begun[5] == "x"


def test_conda_in_a_line_is_made_known(account: Account) -> None:
    base = account.home / "miniconda3"
    (base / "etc/profile.d").mkdir(parents=True)
    (base / "etc/profile.d/conda.sh").write_text(
        'conda() { TOOL="$*"; export TOOL; PATH="$HOME/opt/bin:$PATH"; }\n'
    )
    account.install(account.home / "opt/bin")
    account.start({"environment": "conda activate ml"})
    assert account.begun[5] == "activate ml"


def test_the_usual_folders_are_searched(account: Account) -> None:
    account.install(account.home / ".venv/bin", app="server")
    assert account.start({"app": "server"}).pid is not None


def test_what_is_nowhere_is_told_with_where_it_was_looked_for(account: Account) -> None:
    (account.home / ".local/bin").mkdir(parents=True)
    hidden = script(make_server(start={"app": "notebook"}), 30).replace("/usr/local", "/nowhere")
    done = subprocess.run(
        ["sh"],
        input=hidden.encode(),
        env={"HOME": str(account.home), "PATH": f"{account.home}/plain"},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    started = parse(done.stdout.decode())
    assert started.status == 127
    assert started.looked == (str(account.home / "plain"), str(account.home / ".local/bin"))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_start_up_file_that_hangs_is_left_to_itself(account: Account, shell: str) -> None:
    account.install(account.home / ".venv/bin")
    login = account.home / "login"
    login.write_text("#!/bin/sh\nexec sleep 600\n")
    login.chmod(0o755)
    text = script(make_server(start=ALONE), 30).replace("limited 20 ", "limited 0.5 ")
    done = subprocess.run(
        shell.split(),
        input=text.encode(),
        env={"HOME": str(account.home), "PATH": f"{account.home}/plain", "SHELL": str(login)},
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    started = parse(done.stdout.decode())
    assert started.pid is not None
    account.pids.add(started.pid)


@pytest.mark.parametrize(
    ("text", "status", "log"),
    [
        ("#!/bin/sh\necho no >&2; exit 3\n", 3, "no"),
        ("#!/bin/sh\nkill -9 $$\n", 137, "Killed"),
        ("#!/nowhere/python\n", 126, "nowhere"),
    ],
)
def test_how_it_ended(account: Account, text: str, status: int, log: str) -> None:
    account.install(account.home / ".venv/bin", text)
    started = account.start()
    assert started.pid is None
    assert started.status in (status, 127 if status == 126 else status)  # shells differ
    assert log in started.log or status == 137


def test_one_that_does_not_get_ready_is_given_up(account: Account) -> None:
    account.install(account.home / ".venv/bin", "#!/bin/sh\necho loading jupyter\nexec sleep 600\n")
    started = account.start(limit=4)
    assert started.timed_out
    assert "loading" in started.log
    (state,) = (account.home / ".local/state/trayconnect").iterdir()
    account.pids.add(int((state / "pid").read_text().split()[0]))


def test_a_folder_that_takes_no_files_is_said(account: Account) -> None:
    (account.home / ".local").write_text("a file")
    assert account.start().status == 70


def test_the_state_is_closed_to_others(account: Account) -> None:
    account.install(account.home / ".venv/bin")
    account.start()
    (state,) = (account.home / ".local/state/trayconnect").iterdir()
    modes = {path.name: path.stat().st_mode & 0o077 for path in [state, *state.iterdir()]}
    assert not any(modes.values()), modes


# --- process numbers are given again --------------------------------------------------------------


@pytest.mark.parametrize("file", ["lock", "pid"])
@pytest.mark.parametrize("when", ["", "another-boot:1"])
def test_a_number_that_another_process_has_by_now_misleads_nobody(
    account: Account, file: str, when: str
) -> None:
    """A kernel, say: its command line names Jupyter, too."""
    account.install(account.home / ".venv/bin")
    first = account.start()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGTERM)
    (state,) = (account.home / ".local/state/trayconnect").iterdir()
    wait_for(lambda: not is_alive(first.pid or 0), "its end")
    kernel = subprocess.Popen(["sh", "-c", "sleep 600; : /jupyter/runtime/kernel-1.json"])
    try:
        (state / file).write_text(f"{kernel.pid} {when}\n")
        second = account.start()
        assert second.pid not in (None, first.pid, kernel.pid)
        assert not second.was_running
    finally:
        kernel.kill()
        kernel.wait()


def test_one_that_is_killed_with_all_around_it_is_noticed(account: Account) -> None:
    account.install(account.home / ".venv/bin", "#!/bin/sh\nkill -9 $PPID\nkill -9 $$\n")
    started = account.start(limit=50)
    assert (started.pid, started.status, started.timed_out) == (None, 137, False)

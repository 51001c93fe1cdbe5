"""The scripts of a batch job, run by a real sh with a scheduler's commands in place of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trayconnect.config.batch_options import System, option_faults
from trayconnect.config.model import Server
from trayconnect.core import remote_script
from trayconnect.services.batch.job import JobsSeen, Phase, job_name
from trayconnect.services.batch.scheduler import Request, Submitted, Unsure
from trayconnect.services.batch.schedulers import SCHEDULERS, none_found, which
from trayconnect.services.batch.script import finding, job_script, text, with_options
from trayconnect.services.batch.told import enter_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts run on a cluster")

SCRIPTS = ("cancel", "gridengine", "job", "query", "report", "slurm", "submit", "trial", "which")


def server(name: str = "Divorce papers", **more: object) -> Server:
    base = {"name": name, "host": "h", "local_port": 18888, "batch": {"reach": "auto"}}
    return Server.model_validate(base | more)


def run(script: str, home: Path, *shell: str, **environment: str) -> str:
    """The output of a script as a login node runs it."""
    done = subprocess.run(
        shell or ("sh",),
        input=remote_script.stdin(script),
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        cwd=home,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode()


def command(home: Path, name: str, body: str) -> str:
    """A folder with a command that keeps its arguments."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(
        f'#!/bin/sh\nfor one; do printf "%s\\0" "$one"; done >"$HOME/{name}.arguments"\n{body}\n'
    )
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def arguments(home: Path, name: str) -> list[str]:
    return (home / f"{name}.arguments").read_text().split("\0")[:-1]


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_the_scripts_are_of_every_posix_shell(name: str, shell: str) -> None:
    try:
        done = subprocess.run([shell, "-n"], input=text(f"{name}.sh"), text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"there is no {shell}")
    assert done.returncode == 0


@pytest.mark.parametrize("system", SCHEDULERS)
def test_a_script_for_the_login_node_starts_nothing_of_jupyter(system: str) -> None:
    scheduler = SCHEDULERS[system]  # type: ignore[index]
    for script in (scheduler.query(job_name("a"), ("7",)), scheduler.cancel("7"), which()):
        assert "jupyter-" not in script
        assert "jupyter server list" not in script


def test_a_query_takes_only_numbers_of_jobs() -> None:
    script = SCHEDULERS["slurm"].query(job_name("a"), ("7", "7;reboot", "-u", "8"))
    assert "ended='7 8'" in script


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30
).filter(lambda word: "\n" not in word)


@settings(max_examples=25)
@given(options=st.lists(WORDS, max_size=4))
def test_every_option_is_one_word(
    options: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = command(home, "sbatch", "cat >/dev/null")
    script = with_options(options) + "submit_with sbatch --parsable\n"
    run(script, home, PATH=path)
    assert arguments(home, "sbatch") == ["--parsable", *options]


def test_a_job_is_submitted_once_with_nothing_secret_in_its_arguments(tmp_path: Path) -> None:
    command(tmp_path, "squeue", "echo JOBID STATE COMMENT")
    path = command(tmp_path, "sbatch", 'cat >"$HOME/script"; umask >"$HOME/umask"; echo 15')
    entry = server(start={"environment": {"run": "export PASS_PHRASE_FILE=1"}})
    name = job_name(entry.name)
    request = Request(name, "abc", 600, ("--mem=1G", "it's"), job_script(entry, "abc"))
    slurm = SCHEDULERS["slurm"]
    output = run(slurm.submit(request), tmp_path, PATH=path)
    assert slurm.submission(output, request) == Submitted("15")
    given_ = arguments(tmp_path, "sbatch")
    first, last = (given_.index(one) for one in ("--mem=1G", "it's"))
    assert (given_[0], last) == ("--parsable", first + 1)
    # The last of the user's may take the next word for its value.
    assert f"--job-name={name}" in given_[:first]
    assert given_[last + 1] == "--no-requeue"
    assert f"--job-name={name}" in given_[last + 2 :]
    assert not any("ivorce" in one or "PASS" in one for one in given_)
    assert (tmp_path / "umask").read_text().strip() in ("0077", "077")
    script = (tmp_path / "script").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert f"\nstates='{tmp_path}/.local/state/trayconnect/jobs'\n" in script
    # A later order of the same mark finds it: by the scheduler, or by what the job has left.
    jobs = "echo JOBID STATE COMMENT; echo '16 RUNNING trayconnect 1 abcd'"
    command(tmp_path, "squeue", f"{jobs}; echo '15 COMPLETED trayconnect 1 abc'")
    (tmp_path / "sbatch.arguments").unlink()
    output = run(slurm.submit(request), tmp_path, PATH=path)
    assert slurm.submission(output, request) == Submitted("15")
    command(tmp_path, "squeue", "exit 1")
    order = tmp_path / f".local/state/trayconnect/jobs/{name[-8:]}/orders/abc"
    order.mkdir(parents=True)
    (order / "14").touch()
    output = run(slurm.submit(request), tmp_path, PATH=path)
    assert slurm.submission(output, request) == Submitted("14")
    assert not (tmp_path / "sbatch.arguments").exists()


HEAD = "echo JOBID STATE COMMENT"


@pytest.mark.parametrize(
    ("system", "lister", "said"),
    [
        ("slurm", "squeue", "echo Slurm is in maintenance, try later"),
        ("slurm", "squeue", "echo 12345"),
        ("slurm", "squeue", "exit 0"),
        ("slurm", "squeue", f"{HEAD}; echo squeue: error: Invalid user: 5001 >&2"),
        ("gridengine", "qstat", "echo '<job_info></job_info>'"),
        ("gridengine", "qstat", "exit 0"),
    ],
)
def test_what_is_no_list_submits_nothing(
    system: str, lister: str, said: str, tmp_path: Path
) -> None:
    command(tmp_path, lister, said)
    name = "sbatch" if system == "slurm" else "qsub"
    path = command(tmp_path, name, "cat >/dev/null; echo 15")
    scheduler = SCHEDULERS[system]  # type: ignore[index]
    request = Request(job_name("a"), "abc", 600, (), "")
    for script in (request, replace(request, takes_any=True)):
        output = run(scheduler.submit(script), tmp_path, PATH=path, SGE_ROOT="/")
        assert isinstance(scheduler.submission(output, script), Unsure)
    assert not (tmp_path / f"{name}.arguments").exists()


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        (("12 COMPLETED trayconnect 1 x", "13 PENDING trayconnect 1 y"), "13"),
        (("12 RUNNING trayconnect 1 x", "11 FAILED trayconnect 1 abc"), "11"),
        (("12 COMPLETING trayconnect 1 x", "13 CANCELLED ", "13_[1-2] PENDING x"), "15"),
        (("14 RUNNING ",), "14"),
    ],
)
def test_a_living_job_of_another_computer_will_do_unless_a_new_one_is_asked_for(
    jobs: Sequence[str], found: str, tmp_path: Path
) -> None:
    lines = "".join(f"; echo '{job}'" for job in jobs)
    command(tmp_path, "squeue", HEAD + lines)
    path = command(tmp_path, "sbatch", "cat >/dev/null; echo 15")
    slurm = SCHEDULERS["slurm"]
    anyone = Request(job_name("a"), "abc", 600, (), "", takes_any=True)
    assert slurm.submission(run(slurm.submit(anyone), tmp_path, PATH=path), anyone) == Submitted(
        found
    )
    new = replace(anyone, takes_any=False, mark="new")
    assert slurm.submission(run(slurm.submit(new), tmp_path, PATH=path), new) == Submitted("15")


@pytest.mark.parametrize(
    ("state", "context", "found"),
    [
        ("qw", "a=b,trayconnect=abc,c=d", "7"),
        ("dr", "trayconnect=abc", "7"),
        ("r", "trayconnect=abcd", "7"),
        ("dr", "trayconnect=abcd", "15"),
        ("r", "", "7"),
    ],
)
def test_a_living_job_of_grid_engine_will_do(
    state: str, context: str, found: str, tmp_path: Path
) -> None:
    name = job_name("a")
    command(
        tmp_path,
        "qstat",
        "case $* in *-xml*) cat <<'END'\n<job_info>\n<queue_info>\n"
        f"<JB_job_number>7</JB_job_number>\n<state>{state}</state>\n"
        f"<full_job_name>{name}</full_job_name>\n"
        "<JB_job_number>8</JB_job_number>\n<state>r</state>\n"
        "<full_job_name>other</full_job_name>\n"
        "</queue_info>\n<job_info>\n</job_info>\n</job_info>\nEND\n"
        f";; *) printf 'job_number: 7\\ncontext:   {context}\\n' ;; esac",
    )
    path = command(tmp_path, "qsub", "cat >/dev/null; echo 15")
    engine = SCHEDULERS["gridengine"]
    request = Request(name, "abc", 600, (), "", takes_any=True)
    output = run(engine.submit(request), tmp_path, PATH=path, SGE_ROOT="/")
    assert engine.submission(output, request) == Submitted(found)


def test_a_job_that_finds_no_jupyter_says_where_it_looked(tmp_path: Path) -> None:
    entry = server(start={"environment": {"conda": "nowhere"}})
    script = f"#!/bin/sh\nstates='{tmp_path}/jobs'\nmask=0022\n{job_script(entry, 'abc')}"
    run(script, tmp_path, SLURM_JOB_ID="7", SHELL="/bin/sh")
    folder = tmp_path / "jobs" / job_name(entry.name)[-8:]
    assert "there is no conda environment nowhere" in (folder / "7" / "log").read_text()
    status, told, at = (folder / "7" / "status").read_text().split()
    assert (status, told) == ("72", "-")
    assert at.isdigit()
    assert [path.name for path in (folder / "orders" / "abc").iterdir()] == ["7"]
    assert folder.stat().st_mode & 0o077 == 0
    # The same order again ends at once; the scheduler may begin the same job again.
    run(script, tmp_path, SLURM_JOB_ID="8")
    assert (folder / "8" / "status").read_text().split()[:2] == ["75", "twin"]
    run(script, tmp_path, SLURM_JOB_ID="7")
    assert (folder / "7" / "status").read_text().split()[0] == "72"


def test_accounting_that_takes_long_is_not_asked_again_and_again(tmp_path: Path) -> None:
    """A query that took longer than its limit would have no answer, and the job no end."""
    (tmp_path / ".local/state/trayconnect/jobs/abc/7").mkdir(parents=True)
    (tmp_path / "now").write_text("1000")
    command(tmp_path, "date", 'read n <"$HOME/now"; echo $((n + 12)) >"$HOME/now"; echo $n')
    path = command(tmp_path, "qacct", 'echo x >>"$HOME/asked"; exit 1')
    functions = text("report.sh") + text("gridengine.sh")
    run(f"{functions}\nname=trayconnect-abc\nexplain 7\n", tmp_path, PATH=path)
    assert (tmp_path / "asked").read_text().split() == ["x"]


def test_a_job_without_room_for_its_files_ends_at_once(tmp_path: Path) -> None:
    """As where the quota is full: each file ends after 32 KiB."""
    script = f"states='{tmp_path}/jobs'\nmask=0022\n{job_script(server(), 'abc')}"
    done = subprocess.run(
        ["sh", "-c", "ulimit -f 64; exec sh"],
        input=script.encode(),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SLURM_JOB_ID": "7"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 70
    assert not [path for path in (tmp_path / "jobs").rglob("*") if path.is_file()]


def test_what_jobs_have_left_for_weeks_is_removed_by_the_next(tmp_path: Path) -> None:
    entry = server(start={"environment": {"conda": "nowhere"}})
    folder = tmp_path / "jobs" / job_name(entry.name)[-8:]
    for name in ("1", "2", "3"):
        (folder / name).mkdir(parents=True)
    (folder / "1" / "status").touch()
    (folder / "2" / "status").touch()
    os.utime(folder / "1" / "status", (1.0, 1.0))
    script = f"states='{tmp_path}/jobs'\nmask=0022\n{job_script(entry, 'abc')}"
    run(script, tmp_path, SLURM_JOB_ID="7")
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3", "7", "orders"]


def test_the_clean_up_removes_nothing_beside_the_folders_of_jobs(tmp_path: Path) -> None:
    """A path with a line break, read line by line, once ended as the home's."""
    entry = server(start={"environment": {"conda": "nowhere"}})
    home = tmp_path / "alice"
    states = home / "st\nate" / "jobs"
    folder = states / job_name(entry.name)[-8:]
    for one in (folder / "1", folder / "1" / "deep" / "9", folder / "notes", folder, home):
        one.mkdir(parents=True, exist_ok=True)
        (one / "status").touch()
        os.utime(one / "status", (1.0, 1.0))
    script = f"states='{states}'\nmask=0022\n{job_script(entry, 'abc')}"
    run(script, tmp_path, SLURM_JOB_ID="7")
    assert (home / "status").exists()
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["7", "notes", "orders", "status"]


@pytest.mark.parametrize("folder", ["state", "a\nb", "/a\n/b"])
def test_a_folder_that_is_no_absolute_path_of_one_line_is_not_used(
    folder: str, tmp_path: Path
) -> None:
    script = f"{text('report.sh')}printf '%s' \"$states\""
    output = run(script, tmp_path, XDG_STATE_HOME=folder)
    assert output == f"{tmp_path}/.local/state/trayconnect/jobs"
    assert run(script, tmp_path, XDG_STATE_HOME="/a b") == "/a b/trayconnect/jobs"


def test_the_folder_of_a_job_is_the_same_on_the_way_to_its_node(tmp_path: Path) -> None:
    there = tmp_path / f".local/state/trayconnect/jobs/{job_name('a')[-8:]}/7"
    there.mkdir(parents=True)
    there.chmod(0o700)
    for folder in ("state", ""):
        assert run(enter_folder("a", "7") + "pwd", tmp_path, XDG_STATE_HOME=folder) == f"{there}\n"


def test_no_line_of_a_job_is_taken_for_an_option_of_the_scheduler() -> None:
    entry = server(start={"folder": "~/#SBATCH", "options": ["#$ -N x"]})
    lines = job_script(entry, "abc").split("\n")
    assert not any(line.startswith(("#$", "#SBATCH", "#PBS")) for line in lines)


def test_the_files_of_a_job_are_read_with_the_list(tmp_path: Path) -> None:
    name = job_name("a")
    path = command(
        tmp_path, "squeue", f"echo '7|RUNNING|c1|c1|5|605|10:00|5|main|None|{name}'; exit 0"
    )
    folder = tmp_path / f".local/state/trayconnect/jobs/{name[-8:]}/7"
    folder.mkdir(parents=True)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICgW root@c1"
    files = {
        "node": "c1\nc1.cluster\n10.0.0.1\nbad name\n",
        "socket": "/tmp/tc-5/x.sock\n",
        "pid": "163 78a04cab:59\n",
        "host_keys": f"{key}\nnonsense\n",
        "log": "hello\n@@done\nhttp://x/?token=secret\n",
        "relay": "4000 verysecret\n",
    }
    for one, content in files.items():
        (folder / one).write_text(content)
    slurm = SCHEDULERS["slurm"]
    output = run(slurm.query(name), tmp_path, PATH=path, QUOTING_STYLE="c")  # of ls
    assert "verysecret" not in output
    answer = slurm.answer(output, 1e9)
    assert isinstance(answer, JobsSeen)
    (job,) = answer.jobs
    (found,) = answer.files
    assert job.phase is Phase.RUNNING
    assert job.nodes == ("c1", "c1.cluster", "10.0.0.1")
    assert (found.node, found.socket, found.pid, found.born) == (
        "c1",
        "/tmp/tc-5/x.sock",
        163,
        "78a04cab:59",
    )
    assert found.host_keys == (key,)
    assert found.log == "hello\n@@done\nhttp://x/?token=…"
    (folder / "status").write_text("3 TERM 1000\n")
    for later in range(1000, 1020):  # they have ended, and the scheduler has forgotten them
        (folder.parent / str(later)).mkdir()
        (folder.parent / str(later) / "status").write_text("0 - 1000\n")
    again = slurm.answer(run(slurm.query(name), tmp_path, PATH=path), 1e9)
    assert isinstance(again, JobsSeen)
    assert (again.files[0].status, again.files[0].told) == (3, "TERM")


@pytest.mark.parametrize(
    ("system", "program", "head", "one", "foot"),
    [
        ("slurm", "squeue", "JOBID|STATE|", "{}|PENDING||n/a|||1||p|None|{}", ""),
        (
            "gridengine",
            "qstat",
            "<job_info>\n  <queue_info>",
            (
                '    <job_list state="pending">\n      <JB_job_number>{}</JB_job_number>\n'
                "      <full_job_name>{}</full_job_name>\n    </job_list>"
            ),
            "  </queue_info>\n</job_info>",
        ),
    ],
)
def test_a_list_of_thousands_keeps_our_jobs(
    system: System, program: str, head: str, one: str, foot: str, tmp_path: Path
) -> None:
    name = job_name("a")
    jobs = [one.format(number, "x") for number in range(1, 5000)]
    listed = tmp_path / "listed"
    listed.write_text("\n".join([head, *jobs, one.format(9999, name), foot, ""]))
    path = command(tmp_path, program, f"[ $1 = -j ] || cat {listed}")
    scheduler = SCHEDULERS[system]
    command(tmp_path, scheduler.command, ":")
    output = run(scheduler.query(name), tmp_path, PATH=path, SGE_ROOT="/")
    assert len(output) < 60_000
    answer = scheduler.answer(output, 1e9)
    assert isinstance(answer, JobsSeen)
    assert answer.job("9999") is not None


def test_a_command_is_found_by_what_the_login_shell_knows(tmp_path: Path) -> None:
    command(tmp_path, "our-sbatch", "exit 0")
    (tmp_path / ".profile").write_text(
        f"echo Welcome\nexport PATH={tmp_path}/bin:$PATH OUR_ROOT='a b' SECRET=1\n"
    )
    line = finding("our-sbatch", "OUR_[A-Z]*")
    assert "\n" not in line
    script = f'{line}\ncommand -v our-sbatch; echo "$OUR_ROOT-${{SECRET-none}}"\n'
    output = run(script, tmp_path, SHELL="/bin/bash")
    assert output.split("\n")[:2] == [f"{tmp_path}/bin/our-sbatch", "a b-none"]


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        (frozenset(), "auto", "h has no scheduler for batch jobs"),
        (frozenset({"pbs"}), "auto", "The scheduler of h is PBS or Torque"),
        (frozenset({"gridengine"}), "slurm", "h has no Slurm"),
    ],
)
def test_a_login_node_without_a_scheduler(found: frozenset[str], wanted: str, words: str) -> None:
    assert none_found("h", found, wanted).title == words


def test_options_of_the_other_scheduler_are_faults() -> None:
    assert list(option_faults(["-t60"], "slurm"))
    assert list(option_faults(["-N", "x"], "gridengine"))

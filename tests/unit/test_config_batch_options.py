"""The entry's `batch`: its forms, what excludes what, and the options that are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from trayconnect.config.batch_options import BatchOptions, Lines, System, option_faults
from trayconnect.config.file_problems import ConfigError, FileProblem
from trayconnect.config.model import Config, Server
from trayconnect.config.yaml_file import parse


def read(text: str) -> Config:
    return parse(text, Path("servers.yaml"))


def entry(text: str) -> Server:
    (server,) = read(f"servers: [{{name: a, host: h, {text}}}]").servers
    return server


def fault(text: str) -> FileProblem:
    with pytest.raises(ConfigError) as caught:
        entry(text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("port: 22", None),
        ("batch: false", None),
        ("batch: true", BatchOptions()),
        ("batch: {}", BatchOptions()),
        ("batch: {system: slurm}", BatchOptions(system="slurm")),
        ("batch: {options: [--partition=gpu, -n, '2']}", None),
        ("batch: {options: [-l, 'h_vmem=4G,gpu=1']}", None),
        ("batch: {reach: srun, when: menu}", BatchOptions(reach="srun", when="menu")),
    ],
)
def test_what_is_said(text: str, batch: BatchOptions | None) -> None:
    said = entry(text)
    if "options" not in text:
        assert said.batch == batch
    assert said.kind == ("jupyter" if said.batch is None else "batch")


BLOCK = """\
defaults:
  batch:
    options: [--mem=4G,
      --qos=long]
servers:
  - name: a
    host: h
    batch:
      time: 4:00:00
      options:
        - --partition=gpu

        - -n
        - "2"
  - {name: b, host: h, batch: true}
  - {name: c, host: h}
  - {name: d, host: h, batch: {time: 1:00:00}}
"""


def test_it_knows_the_lines_that_it_stands_in() -> None:
    servers = read(BLOCK).servers
    lines = [server.batch.lines for server in servers if server.batch is not None]
    shared = Lines(2, 0, (3, 4))
    assert lines == [Lines(8, 9, (11, 13, 14)), shared, shared, Lines(17, 17, (3, 4))]
    (alone,) = read("servers:\n- name: a\n  host: h\n  batch: true").servers
    assert alone.batch is not None
    assert alone.batch.lines == Lines(4)


def test_lines_that_move_change_the_entry_and_not_the_job() -> None:
    before, after = read(BLOCK).servers[0], read(f"# moved\n{BLOCK}").servers[0]
    assert before != after
    assert before.batch == after.batch
    assert hash(before.batch) == hash(after.batch)
    assert before.same_link(after)
    assert before == read(BLOCK).servers[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4:00:00", 14_400),
        ("'4:00:00'", 14_400),
        ("0:30:00", 1_800),
        ("1-12:00:00", 129_600),
        ("100:00:01", 360_001),
    ],
)
def test_a_time_needs_no_quotes(text: str, seconds: int) -> None:
    batch = entry(f"batch: {{time: {text}}}").batch
    assert batch is not None
    assert batch.seconds == seconds
    defaults = read(f"servers: [{{name: a, host: h}}]\ndefaults: {{batch: {{time: {text}}}}}")
    shared = defaults.servers[0].batch
    assert shared is not None
    assert shared.seconds == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch: 5", "batch must be true, false, or a mapping (system, "),
        ("batch: {scheduler: slurm}", "did you mean 'system'?"),
        ("batch: {walltime: 4:00:00}", "did you mean 'time'?"),
        ("slurm: {}", "did you mean 'batch'?"),
        ("reach: ssh", "'reach' belongs under 'batch'"),
        ("batch: {system: pbs}", "auto, slurm or gridengine, not 'pbs'"),
        ("batch: {time: 90}", "time must be hours:minutes:seconds, such as 4:00:00"),
        ("batch: {time: 4h}", "time must be hours:minutes:seconds"),
        ("batch: {time: 4:00}", "time must be hours:minutes:seconds"),
        ("batch: {time: 0:00:10}", "must be at least 0:01:00"),
        ("batch: {time: 400-00:00:00}", "at most 366-00:00:00"),
        ("batch: {time: }", "time has no value"),
        ("batch: {options: [partition=gpu]}", "must begin with '-'"),
        ("batch: {options: [-p gpu]}", "must be one word: write [-p, gpu]"),
        ("batch: {options: [--mem 4G]}", "must be one word: write --mem=4G"),
        ("batch: {options: [--time=9]}", "must not contain --time: use 'time' under 'batch'"),
        ("batch: {system: slurm, options: [-t90]}", "must not contain -t: use 'time' under"),
        ("batch: {options: [--job-name=x]}", "finds its jobs again by it"),
        ("batch: {options: [--export=ALL]}", "use 'environment' under 'start' instead"),
        (
            "batch: {options: [--api-token=x]}",
            "must not contain a secret, as api-token seems to be",
        ),
        ("batch: {options: [-l, h_rt=9]}", "must not contain h_rt or s_rt: use 'time'"),
        ("batch: {system: gridengine, options: [-N, x]}", "must not contain -N: trayconnect"),
        ("batch: {system: gridengine, reach: srun}", "'reach: srun' is for Slurm"),
        ("batch: true, jupyter: {port: 9}", "'port' has no meaning beside 'batch'"),
        ("batch: true, jupyter: {socket: /x}", "'socket' has no meaning beside 'batch'"),
        ("batch: {}, start: {when: menu}", "'when' of 'start' has no meaning beside 'batch'"),
        ("batch: {}, start: {socket: never}", "use 'reach' under 'batch'"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    assert words in fault(text).message


def test_a_fault_names_the_line_of_its_option() -> None:
    with pytest.raises(ConfigError) as caught:
        read(
            "servers:\n"
            "- name: a\n"
            "  host: h\n"
            "  batch:\n"
            "    options:\n"
            "    - --partition=gpu\n"
            "    - --output=x\n"
            "    - --comment=x\n"
        )
    assert [problem.line for problem in caught.value.problems] == [7, 8]


def test_a_direct_connection_takes_no_batch() -> None:
    with pytest.raises(ConfigError) as caught:
        read("servers: [{name: a, url: 'http://h/', batch: true}]")
    assert "'batch' has no meaning beside a url" in str(caught.value)


def test_the_link_survives_a_change_of_the_batch() -> None:
    one, other = entry("batch: {time: 1:00:00}"), entry("batch: {time: 2:00:00}")
    assert one.same_link(other)


@pytest.mark.parametrize(
    ("system", "options", "faults"),
    [
        ("slurm", ["-N", "1"], []),
        ("gridengine", ["-N", "x"], [0]),
        (None, ["-N", "1"], []),
        ("slurm", ["-o", "f"], [0]),
        ("gridengine", ["-pe", "smp", "4"], []),
        ("slurm", ["-n", "2", "script.sh"], [2]),
        ("gridengine", ["-now=y"], [0]),
        ("slurm", ["--arra=1-2"], [0]),
        ("slurm", ["--arr=1-2", "--job=x", "--comm=x", "--test-onl", "--wra=x"], [0, 1, 2, 3, 4]),
        (None, ["--expor=ALL"], [0]),
        ("slurm", ["--mem=4G", "--nice", "--time-min=1:00:00", "--exclusive=user"], []),
        ("slurm", ["-Ha1-3"], [0]),
        ("slurm", ["-HOt", "5"], [0]),
        ("slurm", ["-Hp", "gpu", "-pcpu", "-koff"], []),
        ("slurm", ["--mail-user"], [0]),
        ("slurm", ["-p"], [0]),
        ("slurm", ["-p", "--mem=4G"], [0]),
        ("slurm", ["--exclusive", "evil.sh"], [1]),
        ("slurm", ["-H", "evil.sh"], [1]),
        ("slurm", ["-k", "evil.sh"], [1]),
        ("slurm", ["-pgpu", "evil.sh"], [1]),
        ("slurm", ["--partition", "gpu"], [0, 1]),
        (None, ["--exclusive", "evil.sh"], [1]),
        ("slurm", ["--"], [0]),
        ("slurm", ["-"], [0]),
        ("gridengine", ["--"], [0]),
        (None, ["--"], [0]),
        ("gridengine", ["-q"], [0]),
        ("gridengine", ["-pe", "smp"], [0]),
        ("gridengine", ["-q", "-pe", "smp", "4"], [0]),
        ("gridengine", ["-q", "all.q", "evil.sh"], [2]),
        ("gridengine", ["-notify", "evil.sh"], [1]),
        ("gridengine", ["-p", "-100", "-binding", "set", "linear:4", "-R", "y", "-soft"], []),
        ("gridengine", ["x", "y"], [0, 1]),
        ("slurm", ["x", "y"], [0, 1]),
        (None, ["-p", "--mem=4G", "x", "-1"], [2]),
        ("gridengine", ["-l", "gpu=1", "-l", "h_rt=9"], [3]),
        ("gridengine", ["-l", "gpu=1 , s_rt = 9", "-w", "e"], [1]),
        ("gridengine", ["-w", "v", "-w", "p"], [1, 3]),
    ],
)
def test_a_letter_means_what_the_scheduler_says(
    system: System | None, options: list[str], faults: list[int]
) -> None:
    assert [index for index, _ in option_faults(options, system)] == faults

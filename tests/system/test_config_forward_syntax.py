"""What we read in OpenSSH's words for a forward, against what ssh itself reads."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trayconnect.config.forward_syntax import ForwardEnd, ForwardSpec, Kind, parse, parse_words

_OPTIONS = {Kind.LOCAL: "-L", Kind.REMOTE: "-R", Kind.DYNAMIC: "-D"}
_ENDS = re.compile(r"(?:\[(?P<host>.*)\]:)?(?P<port>\d+)|(?P<path>/.*|.*/.*)")


def read_by_ssh(*arguments: str, kind: Kind) -> ForwardSpec | None:
    """As `ssh -G` prints it, which says "" as it stands; None: ssh refuses it."""
    done = subprocess.run(
        ["ssh", "-F", "none", "-G", *arguments, "somewhere"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        return None
    keyword = f"{kind}forward "
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(keyword))
    near, *far = line.removeprefix(keyword).split(" ")
    listen = place(near)
    if listen.host == "*":
        listen = replace(listen, host="")
    is_proxy = not far or far[0].startswith("[socks]")
    return ForwardSpec(kind, listen, None if is_proxy else place(far[0]))


def place(text: str) -> ForwardEnd:
    end = _ENDS.fullmatch(text)
    assert end is not None
    return ForwardEnd(end["host"], int(end["port"] or 0), end["path"])


def read_by_us(kind: Kind, text: str) -> ForwardSpec | None:
    try:
        return parse(kind, text)
    except ValueError:
        return None


port = st.one_of(st.integers(0, 70000).map(str), st.sampled_from(["0", "22", "65535", "65536"]))
host = st.sampled_from(
    ["localhost", "h", "[::1]", "[]", "*", "", "127.0.0.1", "[a/b]", "a\\:b", "[2001:db8::1]", "["]
)
path = st.sampled_from(["/run/x.sock", "/a\\:b", "[/c:d]", "[/e]", "x/y", "\\/z"])
field = st.one_of(port, host, path)
text = st.lists(field, min_size=1, max_size=5).map(":".join) | st.text("0123:/[]\\h*", max_size=12)


@pytest.mark.parametrize("kind", list(Kind))
@given(text=text)
@example("8888:localhost:8888")
@example("[::1]:8888:[::2]:80")
@example("/run/a:/run/b")
@example("8888:/run/b")
@example("/run/a:h:80")
@example("0.0.0.0:8888:/run/b")
@example("*:1080")
@example(":1080")
@example("1080:")
@example("5:h:6:")
@example("1::1:\\")
def test_we_read_what_ssh_reads(kind: Kind, text: str) -> None:
    theirs = read_by_ssh(f"{_OPTIONS[kind]}{text}", kind=kind) if text else None
    ours = read_by_us(kind, text)
    if kind is Kind.DYNAMIC and ours is None and "/" in text:
        return  # ssh drops a second end without a word, if it is a path
    before, _, last = text.rpartition(":")
    if ours is None and theirs is not None and last == "\\":
        ours = read_by_us(kind, before)  # ssh drops a lone backslash at the end
    assert ours == theirs


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.LOCAL, "8888 localhost:8888"),
        (Kind.LOCAL, "[::1]:8888 [::1]:80"),
        (Kind.LOCAL, "/run/a /run/b"),
        (Kind.REMOTE, "0 localhost:80"),
        (Kind.REMOTE, "1080"),
        (Kind.DYNAMIC, "1080"),
        (Kind.LOCAL, "8888:localhost:8888"),
        (Kind.REMOTE, "8888:localhost:8888"),
        (Kind.LOCAL, "1080"),
        (Kind.LOCAL, "http-alt localhost:ssh"),
        (Kind.LOCAL, "0000022 localhost:00022"),
    ],
)
def test_as_in_ssh_config(kind: Kind, words: str) -> None:
    ours: ForwardSpec | None
    try:
        ours = parse_words(kind, words.split())
    except ValueError:
        ours = None
    assert ours == read_by_ssh("-o", f"{kind}forward {words}", kind=kind)


@pytest.mark.parametrize("kind", list(Kind))
@given(text=text)
@example("[a/b]:5:/a\\:b")
@example("\\\\a:5:h:6")
@example("0]\\::1")
@example("\\/z:1:/run/x.sock")
@example("\\/z\\:a:1:h:6")
def test_what_was_read_is_written_so_that_it_reads_alike(kind: Kind, text: str) -> None:
    spec = read_by_us(kind, text)
    # A place with an empty name is none that anybody leads to.
    if spec is not None and not (spec.target and spec.target.host == ""):
        assert parse(kind, spec.option[3:]) == spec

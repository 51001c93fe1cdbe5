"""What we read in OpenSSH's words for a forward, against what ssh itself reads."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trayconnect.config.forward_syntax import Kind, Spec, parse

_OPTIONS = {Kind.LOCAL: "-L", Kind.REMOTE: "-R", Kind.DYNAMIC: "-D"}
_ENDS = re.compile(r"(?:\[(?P<host>.*)\]:)?(?P<port>\d+)|(?P<path>/.*|.*/.*)")


def read_by_ssh(*arguments: str, kind: Kind) -> Spec | None:
    """As `ssh -G` prints it, which says "" as it stands; None: ssh refuses it, or takes it for
    a SOCKS proxy at the server."""
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
    listens = _ENDS.fullmatch(near)
    assert listens is not None
    host = listens["host"]
    spec = Spec(
        kind,
        "" if host == "*" else host,
        None if listens["port"] is None else int(listens["port"]),
        listens["path"],
    )
    if not far:
        return spec
    leads = _ENDS.fullmatch(far[0])
    assert leads is not None
    if leads["host"] == "socks":
        return None
    port = None if leads["port"] is None else int(leads["port"])
    return Spec(
        kind,
        spec.listen_host,
        spec.listen_port,
        spec.listen_path,
        leads["host"],
        port,
        leads["path"],
    )


def read_by_us(kind: Kind, text: str) -> Spec | None:
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
@settings(max_examples=150, deadline=None)
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
def test_we_read_what_ssh_reads(kind: Kind, text: str) -> None:
    theirs = read_by_ssh(f"{_OPTIONS[kind]}{text}", kind=kind) if text else None
    ours = read_by_us(kind, text)
    if kind is Kind.DYNAMIC and ours is None and "/" in text:
        return  # ssh drops a second end without a word, if it is a path
    assert ours == theirs


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.LOCAL, "8888 localhost:8888"),
        (Kind.LOCAL, "[::1]:8888 [::1]:80"),
        (Kind.LOCAL, "/run/a /run/b"),
        (Kind.REMOTE, "0 localhost:80"),
        (Kind.DYNAMIC, "1080"),
    ],
)
def test_as_in_ssh_config(kind: Kind, words: str) -> None:
    assert read_by_us(kind, words) == read_by_ssh("-o", f"{kind}forward {words}", kind=kind)

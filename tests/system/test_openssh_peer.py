"""Our own reader of ssh_config(5) beside OpenSSH's: `ssh -G` on generated configurations."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.support.ssh_opinions import by_reader, by_ssh
from trayconnect.ssh.config.raw_options import Query, SshConfigError

HOSTS = ("gpu", "gate", "box.example.org", "GPU2", "10.0.0.7")
USERS = ("ada", "bob")


def one_of(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


def spelt(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


PATHS = spelt(
    "~/.ssh/id_%h",
    "/keys/%n-%r-%p",
    "%d/.ssh/%u/%k",
    '"/a folder/%%key"',
    "'/single quoted'",
    "/plain\\ space",
    "${HOME}/x",
    "/%l/%L/%i/%C",
    "none",
)
PATTERNS = spelt(
    "gpu",
    "gp?",
    "*",
    "box.*",
    "*.example.org",
    "gate gpu",
    "* !gpu",
    "!gate *",
    '"gpu" "gate"',
    "GPU2",
    "gpu2",
    "10.0.0.*",
    "?*",
)
ALGORITHMS = {
    "Ciphers": spelt("aes128-ctr", "+aes128-cbc", "-aes*", "^aes256-ctr", "aes256-ctr,aes128-ctr"),
    "MACs": spelt("hmac-sha2-256", "+hmac-md5", "-hmac-sha1*,umac-*", "^hmac-sha2-512"),
    "KexAlgorithms": spelt("curve25519-sha256", "+diffie-hellman-group14-sha1", "-ecdh*"),
    "HostKeyAlgorithms": spelt("ssh-ed25519", "+ssh-rsa*", "-*cert*", "^rsa-sha2-512"),
    "PubkeyAcceptedAlgorithms": spelt("+ssh-rsa", "ssh-ed25519,rsa-sha2-512", "-ecdsa*"),
    "PubkeyAcceptedKeyTypes": spelt("+ssh-rsa"),
}  # fmt: skip
VALUES: dict[str, st.SearchStrategy[str]] = {
    "HostName": spelt("%h.example.net", "192.0.2.7", "Real.Example.Org", "a%%b", "::1"),
    "Port": spelt("22", "2222", "ssh", "65535"),
    "User": st.sampled_from(USERS),
    "IdentityFile": PATHS,
    "CertificateFile": PATHS,
    "IdentitiesOnly": one_of("yes no TRUE false"),
    "IdentityAgent": spelt("~/.agent/%r", "none", "SSH_AUTH_SOCK", "/run/%u/a", "$TC_TEST_AGENT"),
    "ProxyJump": spelt("gate", "ada@gate:2222", "a,b@c:1", "none", "ssh://x@y:7", "[::1]:5"),
    "ProxyCommand": spelt("nc %h %p", "none", "ssh -W %h:%p gate # not a comment", 'sh -c "x y"'),
    "UserKnownHostsFile": spelt(
        "/a /b", "none", "~/.ssh/%h", "~/.ssh/known_hosts", '"/with space/k" /c', "%d/k",
    ),
    "GlobalKnownHostsFile": spelt("/a /b", "none", "/g"),
    "StrictHostKeyChecking": one_of("yes no ask accept-new off true"),
    "UpdateHostKeys": one_of("yes no ask"),
    "VerifyHostKeyDNS": one_of("yes no ask"),
    "HostKeyAlias": spelt("Alias", "other.example.org"),
    "ConnectTimeout": spelt("5", "1m30s", "none", "2h", "1w", "0"),
    "ServerAliveInterval": spelt("15", "1m", "0", "90s"),
    "ServerAliveCountMax": spelt("1", "3", "7"),
    "AddressFamily": one_of("any inet inet6"),
    "BindAddress": spelt("127.0.0.1", "::1"),
    "NumberOfPasswordPrompts": spelt("1", "3"),
    "LocalForward": spelt(
        "8888 localhost:8888", "127.0.0.1:9 [::1]:80", "/run/a.%h /run/b", "*:7 h:7", "6 /run/s",
        "[::1]:6006 tb:6006", "8888 localhost:8888", "/run/l host:99",
    ),
    "RemoteForward": spelt("7000 a:1", "7000", "0 a:1", "localhost:9 b:2", "/run/r c:3"),
    "DynamicForward": spelt("1080", "localhost:1081", "[::1]:1082", "*:1083", "/run/d"),
    "ClearAllForwardings": one_of("yes no"),
    "Compression": one_of("yes no"),
    "ForwardAgent": one_of("yes no"),
    "SetEnv": spelt("A=b C=d"),
    "LogLevel": spelt("ERROR"),
    **ALGORITHMS,
}  # fmt: skip
CRITERIA = st.one_of(
    spelt("all", "host gpu", "host *.example.*", 'originalhost "gpu,gate"', "!host gpu", "final"),
    spelt("user ada", "!user ada,bob", f"localuser {getpass.getuser()}", "localuser nobody"),
    spelt("host gpu user ada", "final host *.net", "canonical", "!final host *"),
    spelt("host=gpu", "originalhost * # a comment"),
)
SEPARATORS = spelt(" ", " = ", "=", "\t", "  ")


@st.composite
def settings(draw: st.DrawFn) -> str:
    keyword = draw(st.sampled_from(sorted(VALUES)))
    name = draw(st.sampled_from((keyword, keyword.lower(), keyword.upper())))
    indent = draw(spelt("", "  ", "\t"))
    ending = draw(spelt("", " ", "\r", "\t"))
    return f"{indent}{name}{draw(SEPARATORS)}{draw(VALUES[keyword])}{ending}"


@st.composite
def blocks(draw: st.DrawFn) -> str:
    heads = [
        st.builds("Host{}{}".format, SEPARATORS, PATTERNS),
        st.just("# a comment"),
        st.just(""),
    ]
    heads.append(st.builds("Match {}".format, CRITERIA))
    lines = [draw(st.one_of(heads)), *draw(st.lists(settings(), max_size=6))]
    return "\n".join(lines)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str]:
    """Files by name; `config` includes some of the others."""
    inner = draw(st.lists(st.lists(blocks(), max_size=2), max_size=2))
    files = {f"inner{number}": "\n".join(parts) for number, parts in enumerate(inner)}
    parts = draw(st.lists(blocks(), min_size=1, max_size=5))
    include = draw(spelt("Include FOLDER/inner*", "Include FOLDER/inner1 FOLDER/none", ""))
    parts.insert(draw(st.integers(0, len(parts))), include)
    return files | {"config": "\n".join(parts)}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.write_bytes(text.replace("FOLDER", str(folder)).encode())
        path.chmod(0o600)
        note(f"--- {name}\n{path.read_text()}")
    return folder / "config"


@given(
    files=folders(),
    host=st.sampled_from(HOSTS),
    user=st.sampled_from((None, *USERS)),
    port=st.sampled_from((None, 2022)),
    direct=st.booleans(),
)
def test_it_says_what_ssh_says(
    files: dict[str, str], host: str, user: str | None, port: int | None, direct: bool
) -> None:
    query = Query(host, user, port, direct)
    with tempfile.TemporaryDirectory(prefix="tc-sshcfg-") as name:
        file = write(Path(name), files)
        try:
            expected = by_ssh(query, file)
        except SshConfigError as error:
            note(f"ssh refuses: {error.problem.title}")
            with pytest.raises(SshConfigError):
                by_reader(query, file)
            return
        assert by_reader(query, file) == expected

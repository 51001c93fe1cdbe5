"""A dynamic forward under the programs that people use with one, over OpenSSH's sshd."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.carrier import Plain
from tests.support.forwarding import LIMIT, a_server, listening, no_leaks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.link import Carrier, Client, OnRefused

ONLY_THERE = "intranet.test"
PAGE = "<title>far away</title><p>seen through the tunnel"


class Page(http.server.BaseHTTPRequestHandler):
    """One page for every path."""

    def do_GET(self) -> None:
        body = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        pass


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a web server at the far end."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(LIMIT)


class Proxy:
    """Where the proxy listens, and what it was asked for."""

    def __init__(self, sshd: Sshd, port: int) -> None:
        self.sshd = sshd
        self.port = port
        self.asked: list[Endpoint] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


class Resolving(Plain):
    """Notes the targets, and resolves the name as the server's resolver would."""

    def __init__(self, link: Carrier, asked: list[Endpoint]) -> None:
        super().__init__(link)
        self._asked = asked

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        self._asked.append(target)
        if isinstance(target, TcpEndpoint) and target.host == ONLY_THERE:
            target = TcpEndpoint("localhost", target.port)
        super().carry(client, target, on_refused)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with Sshd() as sshd, no_leaks():
        made = Proxy(sshd, free_port())
        sshd.authorize(make_key(tmp_path))
        kit = Kit(tmp_path)
        kit.trust(sshd.known_hosts_lines())
        server = a_server(
            host=sshd.host,
            port=sshd.port,
            username=sshd.username,
            auth={"identity_file": str(tmp_path / "id_ed25519")},
            forwards=[{"name": "proxy", "kind": "dynamic", "local_port": made.port}],
        )
        with kit.tunnel(server) as tunnel, listening(server) as forwarding:
            forwarding.attach(Resolving(tunnel, made.asked))
            yield made


def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=LIMIT, check=False
    )


def curl(*options: str) -> subprocess.CompletedProcess[str]:
    return run("curl", "--silent", "--show-error", "--noproxy", "", *options)


@pytest.mark.parametrize(
    ("option", "host"),
    [
        ("--socks5-hostname", "localhost"),
        ("--socks4a", "localhost"),
        ("--socks5", "127.0.0.1"),
        ("--socks4", "127.0.0.1"),
    ],
)
def test_curl_gets_a_page(proxy: Proxy, web: int, option: str, host: str) -> None:
    done = curl(option, proxy.address, f"http://{host}:{web}/")
    assert (done.stdout, done.returncode) == (PAGE, 0), done.stderr
    assert proxy.asked == [TcpEndpoint(host, web)]


def test_curl_is_told_why_there_is_none(proxy: Proxy) -> None:
    nobody = curl("--socks5-hostname", proxy.address, f"http://localhost:{free_port()}/")
    assert (nobody.returncode, "(5)" in nobody.stderr) == (97, True), nobody.stderr
    nowhere = curl("--socks5-hostname", proxy.address, "http://nowhere.invalid/")
    assert (nowhere.returncode, "(4)" in nowhere.stderr) == (97, True), nowhere.stderr
    assert TcpEndpoint("nowhere.invalid", 80) in proxy.asked


def test_curl_that_takes_it_for_an_http_proxy_reads_what_it_is(proxy: Proxy) -> None:
    done = curl("--proxy", f"http://{proxy.address}", "http://localhost/")
    assert "This is a SOCKS proxy" in done.stdout


@pytest.mark.parametrize("version", ["4", "5"])
def test_netcat_gets_a_page(proxy: Proxy, web: int, version: str) -> None:
    command = ("nc", "-X", version, "-x", proxy.address, "127.0.0.1", str(web))
    done = run(*command, given="GET / HTTP/1.0\r\n\r\n")
    assert done.stdout.endswith(PAGE), done.stderr


def test_ssh_logs_in_through_it(proxy: Proxy, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{line}\n" for line in proxy.sshd.known_hosts_lines()))
    options = (
        "BatchMode=yes",
        f"UserKnownHostsFile={known}",
        f"IdentityFile={tmp_path / 'id_ed25519'}",
        f"ProxyCommand=nc -X 5 -x {proxy.address} %h %p",
    )
    where = ("-p", str(proxy.sshd.port), f"{proxy.sshd.username}@{proxy.sshd.host}")
    said = (part for option in options for part in ("-o", option))
    done = run("ssh", "-F", "none", *said, *where, "echo hello")
    assert done.stdout == "hello\n", done.stderr
    assert proxy.asked == [TcpEndpoint(proxy.sshd.host, proxy.sshd.port)]


@pytest.mark.timeout(300)
def test_chromium_shows_a_page_of_a_host_that_only_the_server_knows(
    proxy: Proxy, web: int, tmp_path: Path
) -> None:
    command = (
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--password-store=basic",
        f"--user-data-dir={tmp_path / 'profile'}", f"--proxy-server=socks5://{proxy.address}",
        "--timeout=60000", "--dump-dom", f"http://{ONLY_THERE}:{web}/",
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "seen through the tunnel" in done.stdout, done.stderr[-2000:]
    assert TcpEndpoint(ONLY_THERE, web) in proxy.asked

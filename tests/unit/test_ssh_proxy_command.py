"""What a ProxyCommand says: its name, a question that it cannot ask, a page to visit."""

from __future__ import annotations

import pytest

from trayconnect.core.errors import Recovery
from trayconnect.ssh import out_of_band, proxy_command
from trayconnect.ssh.proxy_command import program_name, proxy_ended, proxy_silent
from trayconnect.ssh.target import LoginTarget

TARGET = LoginTarget("GPU box", "gpu", 22, "ada")
PAGE = "https://team.cloudflareaccess.com/cdn-cgi/access/cli?token=" + "x" * 600


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("cloudflared access ssh --hostname gpu", "cloudflared"),
        ("/usr/local/bin/coder --global-config /x ssh --stdio gpu", "coder"),
        ("exec ssh -W gpu:22 gate", "ssh"),
        ("env TOKEN=secret1 cloudflared --id secret2", "cloudflared"),
        ("TOKEN=secret1 OTHER='a secret2' \\\n nc gpu 22", "ProxyCommand"),
        ('TOKEN="a secret1" nc gpu 22', "nc"),
        ("PASS=$(cat secret) nc gpu 22", "ProxyCommand"),
        ('"C:\\Program Files\\PuTTY\\plink.exe" -pw secret gate', "plink.exe"),
        ("'/opt/my tool/gate' secret", "gate"),
        ("sh -c 'echo secret'", "sh"),
        ("(exec 3<>/dev/tcp/secret/22; cat <&3)", "ProxyCommand"),
        ("$SECRET", "ProxyCommand"),
        ("sudo -u secret nc gpu 22", "ProxyCommand"),
        ("TOKEN=`secret x` nc gpu 22", "ProxyCommand"),
        ("", "ProxyCommand"),
        ("\x1b]0;title\x07nc gpu 22", "nc"),
        ("x" * 500, "x" * 40),
    ],
)
def test_the_name_holds_no_argument(command: str, name: str) -> None:
    found = program_name(command)
    assert "secret" not in found
    assert found == name


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("ada@gate's password:", True),
        ("Password:", True),
        ("Enter passphrase for key '/home/ada/.ssh/id_ed25519':", True),
        ("(ada@gate) Verification code:", True),
        ("login as:", True),
        ("Are you sure you want to continue connecting (yes/no/[fingerprint])?", True),
        ("Store key in cache? (y/n, Return cancels connection, i for more info)", False),
        ("Permission denied, please try again.", True),
        ("ada@gate: Permission denied (publickey,password).", True),
        ("Host key verification failed.", True),
        ("ssh_askpass: exec(/usr/bin/ssh-askpass): No such file or directory", True),
        ("Disconnected from authenticating user: Too many authentication failures", True),
        ("the input device is not a TTY", True),
        ("sh: 1: /opt/gate: Permission denied", False),
        ("Your password will expire in 3 days: change it soon.", False),
        ("dial tcp: lookup gate: no such host", False),
        ("workspace is starting", False),
    ],
)
def test_what_it_cannot_ask(line: str, asks: bool) -> None:
    assert proxy_command.asks(["before", line]) is asks


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["A browser window should have opened at the following URL:", PAGE], True),
        ([PAGE, "If the browser failed to open, please visit the URL above."], True),
        (["Go to the following link in your browser:", PAGE], True),
        (["Open the following in your browser:", PAGE], True),
        ([f"To sign in, use a web browser to open the page {PAGE} and enter the code ABC"], True),
        (["# Tailscale SSH requires an additional check.", f"# To authenticate, visit: {PAGE}"],
         True),
        (["Waiting", PAGE], True),
        (["click on the link:", "http://127.0.0.1:40001/x"], True),
        (["consider installing NumPy. For instructions,",
          "please see https://cloud.google.com/iap/docs/using-tcp-forwarding#x"], False),
        ([f"INF connecting to {PAGE}&open=browser"], False),
        (["open the browser", "1", "2", f"INF connecting to {PAGE}"], False),
        (["please visit us"], False),
        ([], False),
    ],
)  # fmt: skip
def test_a_page_to_visit(lines: list[str], wanted: bool) -> None:
    found = out_of_band.request(lines)
    assert bool(found) is wanted
    if wanted:
        assert out_of_band.address("\n".join(found)) == out_of_band.address("\n".join(lines))


def test_problems_say_what_to_do() -> None:
    slow = proxy_silent(TARGET, "coder", 15.0, ("starting",), asked=False).problem
    assert slow.title == "The ProxyCommand for gpu (coder) gave no SSH answer within 15 s"
    assert slow.advice.startswith("It said:\n  starting\n")
    assert "connect_timeout" in slow.advice
    assert "SSH port" not in slow.advice
    assert slow.recovery is Recovery.RETRY
    mute = proxy_silent(TARGET, "coder", 15.0, (), asked=False).problem
    assert mute.advice.startswith("If it takes longer")
    asks = proxy_silent(TARGET, "ssh", 15.0, ("Password:",), asked=False).problem
    assert "jump_hosts" in asks.advice
    denied = ("ada@gate: Permission denied (publickey).",)
    over = proxy_ended(TARGET, "ssh", 255, denied, connecting=True).problem
    assert "jump_hosts" in over.advice
    assert over.recovery is Recovery.FIX_FIRST
    # Hours later, it is not that which ended it.
    lost = proxy_ended(TARGET, "ssh", 255, denied, connecting=False).problem
    assert "jump_hosts" not in lost.advice
    assert lost.recovery is Recovery.RETRY

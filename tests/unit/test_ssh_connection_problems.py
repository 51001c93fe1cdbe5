"""What is told of a tunnel that broke."""

from __future__ import annotations

import pytest

from trayconnect.ssh import connection_problems
from trayconnect.ssh.target import LoginTarget

TARGET = LoginTarget("GPU box", "gpu", 22, "ada")


@pytest.mark.parametrize(
    "detail",
    [
        "SSHException('Mismatched MAC')",
        "InvalidTag()",
        "SSHException('Invalid packet blocking')",
        "the server said: Corrupted MAC on input (code 2)",
        "the server said: Packet corrupt (code 2)",
    ],
)
def test_a_damaged_packet_is_told_as_that(detail: str) -> None:
    assert "damaged" in connection_problems.lost(TARGET, detail).problem.title
    assert "damaged" not in connection_problems.lost(TARGET, "EOFError()").problem.title


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("HTTP/1.1 302 Found", "this network requires a login in your browser"),
        ("<html>", "this network requires a login in your browser"),
        ("220 mail.example.org ESMTP", "Another machine may have this address"),
    ],
)
def test_what_answers_on_another_network_is_told_before_the_port_is_blamed(
    line: str, reason: str
) -> None:
    problem = connection_problems.not_ssh(TARGET, line).problem
    assert "is not an SSH server" in problem.title
    assert reason in problem.advice
    assert "check the port in servers.yaml" in problem.advice

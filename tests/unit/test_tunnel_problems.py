"""What is told of a tunnel that broke."""

from __future__ import annotations

import pytest

from trayconnect.tunnel import problems
from trayconnect.tunnel.target import Target

TARGET = Target("GPU box", "gpu", 22, "ada")


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
    assert "damaged" in problems.lost(TARGET, detail).problem.title
    assert "damaged" not in problems.lost(TARGET, "EOFError()").problem.title

"""User-facing errors of the key exchange."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.offered_algorithms import Mismatch

_FIX = Recovery.FIX_FIRST


def broken(target: LoginTarget, detail: str) -> ProblemError:
    """The server violates the protocol: retrying does not help."""
    title = f"{target.address} broke off the key exchange with a protocol error"
    advice = "Something between you and the server may be changing the data; do not log in."
    return ProblemError(Problem(title, advice, _FIX, detail))


def old_protocol(target: LoginTarget, version: str) -> ProblemError:
    title = f"The SSH server on {target.address} is too old to connect to safely"
    advice = f"Ask its administrator to update it: it speaks {version}."
    return ProblemError(Problem(title, advice, _FIX, version))


def nothing_in_common(target: LoginTarget, mismatches: Sequence[Mismatch]) -> ProblemError:
    """No algorithm in common, in one or more lists."""
    mismatch_list = "; ".join(map(str, mismatches))
    if any(mismatch.ruled_out for mismatch in mismatches):
        title = f"Your SSH configuration excludes every algorithm of {target.address}"
        advice = f"Correct its lists of algorithms for this host. No common {mismatch_list}."
        return ProblemError(Problem(title, advice, _FIX, mismatch_list))
    unsupported = [mismatch for mismatch in mismatches if mismatch.unsupported]
    if unsupported:
        title = f"trayconnect lacks an algorithm that {target.address} insists on"
        advice = " ".join(map(_advice, unsupported))
    else:
        title = f"The SSH server on {target.address} is too old to connect to safely"
        advice = f"Ask its administrator to update it. No common {mismatch_list}."
    names = [mismatch.legacy for mismatch in mismatches if mismatch.legacy]
    if len(names) == len(mismatches) and not target.is_jump_host:
        advice += (
            "\nUntil then, if you trust the network in between, this line in its entry of "
            "servers.yaml allows old, weak algorithms for it:\n"
            f"  legacy: [{', '.join(dict.fromkeys((*target.legacy, *names)))}]"
        )
    return ProblemError(Problem(title, advice, _FIX, mismatch_list))


def _advice(mismatch: Mismatch) -> str:
    return (
        f"Its only safe {mismatch.kind} algorithm is {', '.join(mismatch.unsupported)}, and "
        f"trayconnect does not have it. Ask its administrator to add {mismatch.acceptable[0]} to "
        f"{_KEYWORDS[mismatch.kind]} in its sshd_config."
    )


_KEYWORDS = {
    "key exchange": "KexAlgorithms",
    "host key": "HostKeyAlgorithms (with such a HostKey)",
    "cipher": "Ciphers",
    "MAC": "MACs",
}


def nothing_left(target: LoginTarget, keyword: str, acceptable: Sequence[str]) -> ProblemError:
    """ssh_config(5) names no algorithm that is supported and allowed."""
    title = f"{keyword} in your SSH configuration leaves no usable algorithm for {target.address}"
    advice = (
        f"It names {', '.join(acceptable)}, which trayconnect does not support or considers "
        "unsafe. Add a newer one, or remove the line for this host."
    )
    return ProblemError(Problem(title, advice, _FIX, f"{keyword} {','.join(acceptable)}"))

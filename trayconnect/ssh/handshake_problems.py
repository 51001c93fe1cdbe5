"""Key exchanges that come to nothing, as problems for people."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.offered_algorithms import Mismatch

_FIX = Recovery.FIX_FIRST


def broken(target: LoginTarget, detail: str) -> ProblemError:
    """It breaks the protocol: not something that time mends."""
    title = f"{target.address} broke off the key exchange with a protocol error"
    advice = "Something between you and the server may be changing the data; do not log in."
    return ProblemError(Problem(title, advice, _FIX, detail))


def old_protocol(target: LoginTarget, version: str) -> ProblemError:
    title = f"The SSH server on {target.address} is too old to connect to safely"
    advice = f"Ask its administrator to update it: it speaks {version}."
    return ProblemError(Problem(title, advice, _FIX, version))


def nothing_in_common(target: LoginTarget, lacks: Sequence[Mismatch]) -> ProblemError:
    """No algorithm in common, in one or more of their lists."""
    what = "; ".join(map(str, lacks))
    if any(lack.ruled_out for lack in lacks):
        title = f"Your ssh configuration rules out what {target.address} can do"
        advice = f"Correct its lists of algorithms for this host. No common {what}."
        return ProblemError(Problem(title, advice, _FIX, what))
    ours = [lack for lack in lacks if lack.not_here]
    if ours:
        title = f"trayconnect lacks an algorithm that {target.address} insists on"
        advice = " ".join(map(_lacking, ours))
    else:
        title = f"The SSH server on {target.address} is too old to connect to safely"
        advice = f"Ask its administrator to update it. No common {what}."
    names = [lack.legacy for lack in lacks if lack.legacy]
    if len(names) == len(lacks) and not target.is_jump_host:
        advice += (
            "\nUntil then, if you trust the network between, this line in its entry of "
            "servers.yaml allows it old algorithms that are known to be weak:\n"
            f"  legacy: [{', '.join(dict.fromkeys((*target.legacy, *names)))}]"
        )
    return ProblemError(Problem(title, advice, _FIX, what))


def _lacking(lack: Mismatch) -> str:
    return (
        f"Its only {lack.kind} algorithm that is safe is {', '.join(lack.not_here)}, and "
        f"trayconnect does not have it. Ask its administrator to add {lack.wanted[0]} to "
        f"{_KEYWORDS[lack.kind]} in its sshd_config."
    )


_KEYWORDS = {
    "key exchange": "KexAlgorithms",
    "host key": "HostKeyAlgorithms (with such a HostKey)",
    "cipher": "Ciphers",
    "MAC": "MACs",
}


def nothing_left(target: LoginTarget, keyword: str, wanted: Sequence[str]) -> ProblemError:
    """ssh_config(5) names none of the algorithms that are agreed to."""
    title = f"{keyword} in your ssh configuration leaves nothing to use with {target.address}"
    advice = (
        f"It names {', '.join(wanted)}: none of these is known here and safe. "
        "Name a newer one too, or remove the line for this host."
    )
    return ProblemError(Problem(title, advice, _FIX, f"{keyword} {','.join(wanted)}"))

"""A real single-user server of a JupyterHub: its Hub alone lets anybody in, and that is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.jupyter_kinds import LAB4, PeerJupyter, peer_python
from tests.support.jupyter_peers import Answer, Peer, web
from tests.system.test_jupyter_health import live, sshd_for
from trayconnect.services.jupyter.model import Health
from trayconnect.services.protocol import Level

pytestmark = pytest.mark.long

HUB = "X-JupyterHub-Version: 5.5.4\r\n"
ADDRESS = "https://hub.example.org/user/ada/"


class SingleUserServer(PeerJupyter):
    """What a Hub starts for one of its users; `hub` is where that Hub's API answers."""

    def __init__(self, hub: Peer, *, address: str) -> None:
        super().__init__(LAB4)
        self._hub = hub
        self._address = address

    def _command(self) -> list[str]:
        return [str(Path(peer_python("lab4")).with_name("jupyterhub-singleuser"))]

    def _environment(self) -> dict[str, str]:
        told = {
            "API_URL": f"http://{self._hub.authority}/hub/api",
            "API_TOKEN": "of the Hub",
            "CLIENT_ID": "jupyterhub-user-ada",
            "USER": "ada",
            "SERVICE_URL": f"http://127.0.0.1:{self.port}",
            "SERVICE_PREFIX": "/user/ada/",
            "ROOT_DIR": str(self.notebooks),
            **({"PUBLIC_URL": self._address} if self._address else {}),
        }
        return super()._environment() | {f"JUPYTERHUB_{key}": text for key, text in told.items()}


@pytest.fixture(scope="module")
def hub() -> Iterator[Peer]:
    def page(path: str, headers: Mapping[str, str]) -> Answer:
        # It knows nobody's token.
        return (200, '{"version": "5.5.4"}') if path == "/hub/api" else (403, "{}")

    with Peer(web(page, HUB)) as peer:
        yield peer


@pytest.mark.parametrize("address", [ADDRESS, ""])
def test_a_single_user_server(hub: Peer, tmp_path: Path, address: str) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    with SingleUserServer(hub, address=address) as jupyter:
        with sshd_for(jupyter) as sshd, live(sshd, tmp_path / "a") as box:
            found = box.examine()
        with sshd_for(jupyter) as sshd, live(sshd, tmp_path / "b", port=jupyter.port) as box:
            fixed = box.examine()
        with (
            sshd_for(jupyter, ForceCommand="/bin/false") as sshd,
            live(sshd, tmp_path / "c", port=jupyter.port, path="/user/ada/lab") as box,
        ):
            unsearched = box.examine()
    # The machine may run other Jupyters of this account, which are then preferred.
    (ours,) = (one for one in found.jupyters if one.where == str(jupyter.port))
    assert ours.of_hub
    for health in (fixed, unsearched):
        assert "was started by a JupyterHub" in advised(health)
        assert (health.level, health.page.token) == (Level.REACHABLE, "")
    where = f"Open it there: {address}" if address else "there /user/ada/."
    assert where in advised(fixed)


def advised(health: Health) -> str:
    assert health.problem is not None
    return f"{health.problem.title}\n{health.problem.advice}"

"""From a Host alias of ~/.ssh/config to a live tunnel, by the commands alone."""

from __future__ import annotations

from pathlib import Path

from tests.support.keys import make_key
from tests.support.running import LIMIT, RunningApp
from tests.support.sshd import Sshd
from tests.support.waiting import wait_for


def test_an_imported_host_behind_a_jump_host(tmp_path: Path) -> None:
    keys = {name: make_key(tmp_path, name=name) for name in ("gpu", "gate")}
    with Sshd() as gpu, Sshd() as gate:
        lines = ["Host gpu", "  ProxyJump gate", "  ForwardAgent yes"]
        for name, server in (("gpu", gpu), ("gate", gate)):
            server.authorize(keys[name])
            lines += [f"Host {name}", f"  HostName {server.host}", f"  Port {server.port}"]
            lines += [f"  IdentityFile {keys[name]}", "  IdentitiesOnly yes"]
        file = tmp_path / "ssh_config"
        file.write_text("\n".join(lines) + "\n")
        known = [*gpu.known_hosts_lines(), *gate.known_hosts_lines()]
        env = {"TRAYCONNECT_SSH_CONFIG": str(file)}
        with RunningApp("servers: []  # to come\n", env=env, known_hosts=known) as app:
            listed = app.run("import")
            assert listed.returncode == 0
            assert f"@127.0.0.1:{gpu.port} through gate" in listed.stdout
            imported = app.run("import", "gpu")
            assert imported.stdout == f"Added “gpu” to {app.file}\n"
            assert app.file.read_text() == "servers:  # to come\n  - name: gpu\n    host: gpu\n"
            assert app.run("reload").returncode == 0  # rather than wait for the watcher
            assert app.run("connect", "gpu").returncode == 0
            wait_for(lambda: app.status("gpu")["state"] == "up", "the tunnel", LIMIT)
            assert "ForwardAgent is ignored" in app.output
            assert "Accepted publickey" in gate.log_text()

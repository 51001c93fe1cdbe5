"""The ways to a node of a real cluster, and what happens where one is closed or ends."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.batch_desk import Desk, link_to
from tests.support.batch_jobs import SOCKET, SlurmSteps, echo_job
from tests.support.tunnel_kit import Kit, Losses, entry, nothing_left, until
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Client, Link, LostError, Owner
from trayconnect.services.batch import ways
from trayconnect.services.batch.reach import Destination, NodeLink, Way
from trayconnect.services.batch.scheduler import Scheduler
from trayconnect.services.batch.schedulers import SCHEDULERS
from trayconnect.ssh.ssh_link import SshLink

TARGET = UnixEndpoint(SOCKET)
ORIGIN = ("127.0.0.1", 0)
LAB_CONF = Path(__file__).parents[1] / "support" / "batch_lab" / "slurm"


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door()


@pytest.fixture(scope="module")
def server(cluster: BatchCluster, door: int) -> Server:
    return entry(door, identity_file=cluster.key, username="alice", batch={})


@pytest.fixture(scope="module")
def job(cluster: BatchCluster, server: Server) -> Iterator[Destination]:
    with echo_job(cluster, server) as job:
        yield job


@pytest.fixture
def kit(tmp_path: Path, cluster: BatchCluster, door: int) -> Kit:
    kit = Kit(tmp_path)
    kit.trust([f"[127.0.0.1]:{door} {cluster.host_key}"])
    return kit


@contextlib.contextmanager
def reached(
    to: Destination,
    login: Link,
    on_lost: Callable[[Problem], None] | None = None,
    failed: frozenset[Way] = frozenset(),
) -> Iterator[NodeLink]:
    node = ways.reach(to, login, CancelToken(), on_lost or Losses(), failed=failed)
    try:
        yield node
    finally:
        node.link.close()


def by(job: Destination, way: str) -> Destination:
    """The same job, whose entry asks for a way."""
    batch = job.server.batch
    assert batch is not None
    options = batch.model_copy(update={"reach": way})
    return replace(job, server=job.server.model_copy(update={"batch": options}))


def echoes(link: Link) -> bool:
    stream, owner = link.open_own_channel(TARGET, ORIGIN, named=False)
    try:
        stream.sendall(b"hello")
        return owner is Owner.OURS and stream.recv(100) == b"hello"
    finally:
        stream.close()


def test_each_way_leads_to_the_node(kit: Kit, server: Server, job: Destination) -> None:
    with nothing_left(), kit.tunnel(server) as login:
        for way in ("ssh", "srun", "direct"):
            with reached(by(job, way), login) as node:
                assert node.way.value == way
                assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
                assert echoes(node.link)
                assert node.link.owner(TARGET) is Owner.OURS
        assert login.execute("uname -n", b"", 20).stdout == b"login1\n"


def test_auto_takes_ssh_and_the_next_when_that_fails(
    kit: Kit, server: Server, job: Destination
) -> None:
    with kit.tunnel(server) as login:
        with reached(job, login) as node:
            assert node.way is Way.SSH
        with reached(job, login, failed=frozenset({Way.SSH})) as node:
            assert node.way is Way.SRUN
            assert echoes(node.link)


@pytest.mark.long
def test_a_job_whose_tmp_is_its_own_is_reached_by_a_step(tmp_path: Path) -> None:
    """A login to the node works, and sees another /tmp than the job (job_container/tmpfs)."""
    conf = tmp_path / "slurm"
    shutil.copytree(LAB_CONF, conf)
    with (conf / "slurm.conf").open("a") as file:
        file.write("JobContainerType=job_container/tmpfs\nPrologFlags=Contain\n")
    (conf / "job_container.conf").write_text("AutoBasePath=true\nBasePath=/var/lib/private-tmp\n")
    with (
        BatchCluster(conf=conf) as cluster,
        link_to(cluster, cluster.door(), tmp_path) as login,
    ):
        desk = Desk(SCHEDULERS["slurm"], login)
        id_ = desk.submitted()
        files = desk.ready(id_)
        assert cluster.try_run("c1", "test", "-S", files.socket).returncode != 0
        to = Destination(desk.server, SCHEDULERS["slurm"], desk.job(id_), files)
        for failed, way in ((), Way.SRUN), ((Way.SRUN,), Way.DIRECT):
            with reached(to, login, failed=frozenset(failed)) as node:
                assert node.way is way
                assert node.link.owner(UnixEndpoint(files.socket)) is Owner.OURS
        with pytest.raises(ProblemError) as caught, reached(by(to, "ssh"), login):
            pass
        assert files.socket in caught.value.problem.detail
        desk.cancel(id_)


@contextlib.contextmanager
def no_ssh_to(cluster: BatchCluster, host: str) -> Iterator[None]:
    """As where nodes take no logins: the daemon is down."""
    end_ssh(cluster, host)
    try:
        yield
    finally:
        begin_ssh(cluster, host)


@contextlib.contextmanager
def other_ssh_to(cluster: BatchCluster, host: str, *lines: str) -> Iterator[None]:
    """Its daemon has these lines in its settings, before the usual ones."""
    settings = cluster.folder / "etc" / "ssh"
    (settings / "other").write_text("\n".join([*lines, (settings / "sshd_config").read_text()]))
    with no_ssh_to(cluster, host):
        begin_ssh(cluster, host, "-f", "/etc/ssh/other")
        try:
            yield
        finally:
            end_ssh(cluster, host)


def begin_ssh(cluster: BatchCluster, host: str, *options: str) -> None:
    cluster.run(host, "/usr/sbin/sshd", *options)
    # It writes this as soon as it listens, which may be after its first process has ended.
    assert until(lambda: cluster.try_run(host, "test", "-s", "/run/sshd.pid").returncode == 0)


def end_ssh(cluster: BatchCluster, host: str) -> None:
    cluster.run(host, "sh", "-c", "kill $(cat /run/sshd.pid)")
    assert until(lambda: cluster.try_run(host, "test", "-e", "/run/sshd.pid").returncode != 0)


def test_a_node_without_ssh_is_reached_by_a_step(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    with nothing_left(), kit.tunnel(server) as login, no_ssh_to(cluster, "c1"):
        with reached(job, login) as node:
            assert node.way is Way.SRUN
            assert echoes(node.link)
        with pytest.raises(ProblemError) as caught, reached(by(job, "ssh"), login):
            pass
        assert caught.value.problem.title == "c1 cannot be reached by ssh"


@pytest.mark.parametrize(
    ("module", "node", "said"),
    [
        # This one denies everybody where it cannot move a login into the job.
        ("pam_slurm_adopt.so", "c1", "Access denied by pam_slurm_adopt: you have no active jobs"),
        ("pam_slurm.so", "c2", "Access denied: user alice (uid=5001) has no active jobs"),
    ],
)
def test_a_node_that_denies_logins_says_why_and_the_next_way_is_taken(
    module: str,
    node: str,
    said: str,
    cluster: BatchCluster,
    kit: Kit,
    server: Server,
    job: Destination,
) -> None:
    """Slurm's own modules of PAM, which let in who has a job there."""
    if not any(Path("/lib").glob(f"**/security/{module}")):
        pytest.skip(f"there is no {module}: run .ci/system-packages")
    lines = ("auth", "pam_permit.so"), ("account", module), ("session", "pam_permit.so")
    service = cluster.folder / "etc" / "pam.d" / "sshd"
    service.write_text("".join(f"{kind} required {what}\n" for kind, what in lines))
    there = replace(job, job=replace(job.job, nodes=(node,)))
    with nothing_left(), kit.tunnel(server) as login, other_ssh_to(cluster, node, "UsePAM yes"):
        with pytest.raises(ProblemError) as caught, reached(by(there, "ssh"), login):
            pass
        problem = caught.value.problem
        assert problem.title == f"{node} cannot be reached by ssh"
        assert problem.detail.count(said) == 2  # to us, and to the login node's ssh
        assert problem.recovery is Recovery.RETRY
        with reached(there, login) as link:
            assert link.way is Way.SRUN
            assert echoes(link.link)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('ForceCommand echo "This node is closed" >&2; exit 1', "This node is closed"),
        ("AllowUsers bob", "c1 refused the login of alice"),
    ],
)
def test_a_node_that_takes_a_login_for_nothing_is_passed_over(
    line: str, said: str, cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    with nothing_left(), kit.tunnel(server) as login, other_ssh_to(cluster, "c1", line):
        with pytest.raises(ProblemError) as caught, reached(by(job, "ssh"), login):
            pass
        assert said in caught.value.problem.detail
        with reached(job, login) as node:
            assert node.way is Way.SRUN
            assert echoes(node.link)


def test_a_job_that_does_not_tell_its_host_keys_is_reached_by_the_login_nodes_ssh(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    """The login node knows the node, and has a key for it."""
    known = cluster.home() / ".ssh" / "known_hosts"
    known.write_text(f"c1 {cluster.host_key}\n")
    foreign = replace(by(job, "ssh"), files=None)
    try:
        with nothing_left(), kit.tunnel(server) as login, reached(foreign, login) as node:
            assert not isinstance(node.link, SshLink)
            assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
            assert echoes(node.link)
    finally:
        known.unlink()


def test_a_name_that_leads_to_another_node_is_passed_over(
    kit: Kit, server: Server, job: Destination
) -> None:
    """All nodes of a cluster may have the same host key."""
    wrong = replace(by(job, "ssh"), job=replace(job.job, nodes=("c2", "nowhere", "c1")))
    with nothing_left(), kit.tunnel(server) as login, reached(wrong, login) as node:
        assert isinstance(node.link, SshLink)
        assert node.link.execute("uname -n", b"", 20).stdout == b"c1\n"
        assert echoes(node.link)


def test_a_foreign_job_is_refused(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    """Slurm lets nobody into another user's job."""
    with kit.tunnel(server) as login:
        other = replace(by(job, "srun"), job=replace(job.job, id="999999"))
        with pytest.raises(ProblemError) as caught, reached(other, login):
            pass
        assert "Nothing could be started on c1" in caught.value.problem.advice
        assert "srun: error" in caught.value.problem.advice


class Carried:
    """A local connection that a link carries."""

    def __init__(self, link: Link) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.sock = socket.create_connection(listening.getsockname())
            far, origin = listening.accept()
        far.setblocking(False)
        self.sock.settimeout(90)
        self.refused: list[ProblemError] = []
        self.opened = threading.Event()
        link.carry_own(
            Client(far, origin),
            TARGET,
            named=False,
            on_opened=lambda _: self.opened.set(),
            on_refused=self.refused.append,
        )

    def __enter__(self) -> Carried:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def test_the_end_of_the_job_ends_the_step(cluster: BatchCluster, kit: Kit, server: Server) -> None:
    losses = Losses()
    with (
        nothing_left(),
        kit.tunnel(server) as login,
        echo_job(cluster, server, "c2") as job,
        reached(by(job, "srun"), login, losses) as node,
    ):
        assert echoes(node.link)
        cluster.run("login1", "scancel", job.job.id, user="alice")
        assert "c2 was lost" in losses.wait().title
        with pytest.raises(LostError):
            node.link.execute("true", b"", 20)
    assert len(losses.problems) == 1


def test_the_end_of_the_step_resets_who_is_carried(
    cluster: BatchCluster, kit: Kit, server: Server
) -> None:
    losses = Losses()
    with (
        nothing_left(),
        kit.tunnel(server) as login,
        echo_job(cluster, server, "c2") as job,
        reached(by(job, "srun"), login, losses) as node,
        Carried(node.link) as carried,
    ):
        carried.sock.sendall(b"hello")
        assert carried.sock.recv(100) == b"hello"
        cluster.run("login1", "pkill", "-KILL", "-x", "srun")
        assert "c2 was lost" in losses.wait().title
        with pytest.raises(ConnectionResetError):
            carried.sock.recv(100)


@pytest.mark.parametrize("way", ["ssh", "srun", "direct"])
def test_the_end_of_the_login_ends_the_way(
    way: str, kit: Kit, server: Server, job: Destination
) -> None:
    losses = Losses()
    with nothing_left():
        with kit.tunnel(server) as login:
            node = ways.reach(by(job, way), login, CancelToken(), losses)
            carried = Carried(node.link)
            carried.sock.sendall(b"hello")
            assert carried.sock.recv(100) == b"hello"
        with carried, pytest.raises(ConnectionResetError):
            carried.sock.recv(100)
        assert "lost" in losses.wait().title
        node.link.close()


@pytest.mark.parametrize("way", ["ssh", "srun", "direct"])
def test_a_node_that_dies_is_noticed(
    way: str, cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    """Its network is gone: nothing ends a connection there, and nothing comes."""
    soon = server.keepalive.model_copy(update={"interval": 0.5, "count_max": 2})
    quick = replace(by(job, way), server=by(job, way).server.model_copy(update={"keepalive": soon}))
    losses = Losses()
    with (
        nothing_left(),
        kit.tunnel(quick.server) as login,
        reached(quick, login, losses) as node,
        Carried(node.link) as carried,
    ):
        carried.sock.sendall(b"hello")
        assert carried.sock.recv(100) == b"hello"
        cluster.run("c1", "ip", "link", "set", "eth0", "down")
        try:
            assert "stopped answering" in losses.wait().title
            with pytest.raises(ConnectionResetError):
                carried.sock.recv(100)
            assert login.execute("uname -n", b"", 20).stdout == b"login1\n"
        finally:
            cluster.run("c1", "ip", "link", "set", "eth0", "up")


def test_a_step_leaves_nothing_on_the_node(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    def running(pattern: str) -> bool:
        return cluster.try_run("c1", "pgrep", "-f", pattern).returncode == 0

    with kit.tunnel(server) as login:
        with reached(by(job, "srun"), login) as node:
            started = node.link.start_program("exec sleep 611", 20)
            assert until(lambda: running("[s]leep 611"))
            assert running("[p]ython3 -ISc")
            assert started.status is None
        assert until(lambda: not running("[p]ython3 -ISc"))
        assert until(lambda: not running("[s]leep 611"))
        assert until(lambda: not cluster.pids("login1", "srun"))


def test_a_program_of_the_login_node_that_does_not_read_ends_with_its_stream(
    cluster: BatchCluster, kit: Kit, server: Server
) -> None:
    """As the login node's ssh while a node keeps it waiting."""
    with nothing_left(), kit.tunnel(server) as login:
        started = login.start_program("echo ready; exec sleep 612", 20)
        assert started.recv(100) == b"ready\n"
        started.close()
        pattern = "[s]leep 612"
        assert until(lambda: cluster.try_run("login1", "pgrep", "-f", pattern).returncode != 0)


# --- direct ---------------------------------------------------------------------------------------


def told(cluster: BatchCluster, job: Destination) -> Path:
    """The file with the port and the secret of a job's relay, which listens from now on."""
    folder = f".local/state/trayconnect/jobs/{job.job.name[-8:]}/{job.job.id}"
    cluster.run("login1", "touch", f"/home/alice/{folder}/wanted", user="alice")
    relay = cluster.home() / folder / "relay"
    assert until(relay.exists)
    return relay


def test_no_port_is_open_where_another_way_works(
    cluster: BatchCluster, kit: Kit, server: Server
) -> None:
    """Until the direct way is the next one."""

    def listens() -> bool:
        return "python" in cluster.run("c2", "ss", "-Htlnp")

    with kit.tunnel(server) as login, echo_job(cluster, server, "c2") as job:
        for way in ("ssh", "srun"):
            with reached(by(job, way), login) as node:
                assert echoes(node.link)
        assert not listens()
        with reached(job, login, failed=frozenset({Way.SSH, Way.SRUN})) as node:
            assert node.way is Way.DIRECT
            assert listens()


IN_THE_MIDDLE = """
import socket, sys, threading
port = int(sys.argv[1])
def pump(source, sink):
    try:
        while data := source.recv(65536):
            print(data.hex(), flush=True)
            sink.sendall(data)
    except OSError:
        pass
    for sock in (source, sink):
        try:
            sock.shutdown(2)
        except OSError:
            pass
listening = socket.create_server(("", port))
print("ready", flush=True)
while True:
    sock, _ = listening.accept()
    far = socket.create_connection(("c1", port))
    for pair in ((far, sock), (sock, far)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def test_who_stands_between_on_another_host_is_found_out(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    """bob passes each byte on from the login node, to which a name may lead: he gets none but the
    random numbers and a proof that holds nowhere else."""
    port, secret = told(cluster, job).read_text().split()
    bob = cluster.spawn("login1", "python3", "-uc", IN_THE_MIDDLE, port, user="bob")
    try:
        assert bob.stdout is not None
        assert bob.stdout.readline() == "ready\n"
        with nothing_left(), kit.tunnel(server) as login:
            for names in (("localhost", "127.0.0.1", "::1"), ("localhost", "login1")):
                wrong = replace(by(job, "direct"), job=replace(job.job, nodes=names))
                with pytest.raises(ProblemError), reached(wrong, login):
                    pass
            last = ("localhost", "login1", "nowhere", "c1")
            mixed = replace(by(job, "direct"), job=replace(job.job, nodes=last))
            with reached(mixed, login) as node:
                assert node.link.execute("echo of-alice", b"", 20).stdout == b"of-alice\n"
                assert echoes(node.link)
    finally:
        cluster.run("login1", "pkill", "-KILL", "-u", "bob")
        seen = [bytes.fromhex(line) for line in bob.communicate()[0].splitlines()]
    heard = b"".join(seen)
    assert b"@@trayconnect node 1 " in heard
    for kept in (b"of-alice", secret.encode(), b"@@trayconnect relay", b"hello"):
        assert kept not in heard


CROWD = """
import socket, sys, time
held = [socket.create_connection(("c1", int(sys.argv[1]))) for _ in range(400)]
print("ready", flush=True)
time.sleep(600)
"""


def test_who_opens_many_connections_keeps_nobody_out(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    port = told(cluster, job).read_text().split()[0]
    bob = cluster.spawn("login1", "python3", "-c", CROWD, port, user="bob")
    try:
        assert bob.stdout is not None
        assert bob.stdout.readline() == "ready\n"
        with kit.tunnel(server) as login:
            for _ in range(3):
                with reached(by(job, "direct"), login) as node:
                    assert echoes(node.link)
    finally:
        cluster.run("login1", "pkill", "-KILL", "-u", "bob")
        bob.communicate()


def test_the_secret_is_the_accounts_alone(cluster: BatchCluster, job: Destination) -> None:
    assert told(cluster, job).stat().st_mode & 0o777 == 0o600
    secret = told(cluster, job).read_text().split()[1]
    assert secret not in cluster.run("c1", "ps", "axeww")


def test_where_neither_ssh_nor_steps_work_the_job_lets_in(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    class NoSteps(SlurmSteps):
        has_steps = False

    other = replace(job, scheduler=cast(Scheduler, NoSteps()))
    with (
        nothing_left(),
        kit.tunnel(server) as login,
        no_ssh_to(cluster, "c1"),
        reached(other, login) as node,
    ):
        assert node.way is Way.DIRECT
        assert echoes(node.link)


STRANGER = """
import socket, sys
listening = socket.socket(socket.AF_INET6)
listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("::", int(sys.argv[1])))
listening.listen()
print("ready", flush=True)
sock, _ = listening.accept()
sock.sendall(b"@@trayconnect node 1 " + b"0" * 64 + b"\\n")
heard = sock.recv(1000)
sock.sendall(heard.split()[1] + b"\\n@@trayconnect relay 1 0 c1\\n")
sock.recv(1000)
"""


def test_another_user_on_the_port_is_found_out(
    cluster: BatchCluster, kit: Kit, server: Server
) -> None:
    """The job has ended, and bob listens where it did. He gets neither a byte nor the secret."""
    with echo_job(cluster, server, "c2") as job:
        file = told(cluster, job)
        port, secret = file.read_text().split()
    ended = f"{job.job.id}/[r]elay.py serve"
    assert until(lambda: cluster.try_run("c2", "pgrep", "-f", ended).returncode != 0)
    stranger = cluster.spawn("c2", "python3", "-c", STRANGER, port, user="bob")
    try:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "ready\n"
        with nothing_left(), kit.tunnel(server) as login:
            with pytest.raises(ProblemError) as caught, reached(by(job, "direct"), login):
                pass
            assert f"port {port} of c2 (10.77.0.12) is not the job's" in caught.value.problem.detail
            assert secret not in str(caught.value.problem)
    finally:
        stranger.kill()
        stranger.communicate()


@pytest.mark.parametrize("said", [b"", b"x" * 300, b"0" * 64 + b" " + b"0" * 64 + b"\n"])
def test_who_does_not_know_the_secret_gets_nothing(
    said: bytes, cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    port = int(told(cluster, job).read_text().split()[0])
    with kit.tunnel(server) as login:
        stream = login.open_channel(TcpEndpoint("c1", port), ORIGIN)
        stream.sendall(said)
        if not said:
            stream.shutdown_write()
        heard = b""
        with contextlib.suppress(OSError):
            while data := stream.recv(1000):
                heard += data
        stream.close()
        assert heard.startswith(b"@@trayconnect node 1 ")
        assert heard.count(b"\n") == 1
        with reached(by(job, "direct"), login) as node:  # and others are served as before
            assert echoes(node.link)


def test_who_connects_from_the_node_itself_is_refused(
    cluster: BatchCluster, job: Destination
) -> None:
    port = told(cluster, job).read_text().split()[0]
    said = "import socket, sys; print(socket.create_connection(sys.argv[1:]).recv(100))"
    for address in ("127.0.0.1", "c1"):
        assert cluster.run("c1", "python3", "-c", said, address, port, user="bob") == "b''\n"


def test_a_login_node_that_forwards_nothing(
    cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    """A login of ours and the job's port need a channel of the login node. Its own ssh does not,
    and knows the node by the keys that the job has told."""
    with (
        login_node_has(cluster, "AllowTcpForwarding no"),
        nothing_left(),
        kit.tunnel(server) as login,
    ):
        with pytest.raises(ProblemError) as caught, reached(by(job, "direct"), login):
            pass
        assert "forbids forwarding" in caught.value.problem.detail
        with reached(job, login) as node:
            assert node.way is Way.SSH
            assert not isinstance(node.link, SshLink)
            assert echoes(node.link)
        with reached(job, login, failed=frozenset({Way.SSH})) as node:
            assert node.way is Way.SRUN
            assert echoes(node.link)


@contextlib.contextmanager
def login_node_has(cluster: BatchCluster, line: str) -> Iterator[None]:
    """A line of its sshd_config, for logins from now on."""
    config = cluster.folder / "etc" / "ssh" / "sshd_config"
    before = config.read_text()
    config.write_text(f"{line}\n{before}")
    try:
        yield
    finally:
        config.write_text(before)


@pytest.mark.parametrize("names", ["c1:*", "10.77.0.11:*"])
def test_a_login_node_that_forwards_to_the_names_of_nodes_only(
    names: str, cluster: BatchCluster, kit: Kit, server: Server, job: Destination
) -> None:
    told(cluster, job)
    with (
        login_node_has(cluster, f"PermitOpen {names}"),
        nothing_left(),
        kit.tunnel(server) as login,
        reached(by(job, "direct"), login) as node,
    ):
        assert echoes(node.link)


def test_the_relay_of_a_job_ends_with_it(cluster: BatchCluster, server: Server) -> None:
    with echo_job(cluster, server, "c2") as job:
        told(cluster, job)
        pattern = f"{job.job.id}/[r]elay.py serve"
        assert cluster.try_run("c2", "pgrep", "-f", pattern).returncode == 0
    assert until(lambda: cluster.try_run("c2", "pgrep", "-f", pattern).returncode != 0)

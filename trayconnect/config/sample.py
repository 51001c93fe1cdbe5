"""The initial file of a new user."""

from __future__ import annotations

import os
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_folder

SAMPLE = """\
# The servers of trayconnect. Save this file, and the menu changes with it.
#
# To begin, remove the '# ' before the lines of an entry, and make it yours. An SSH server needs a
# name and a host; all else may be left out. "trayconnect check" finds every mistake in the file.
# Never write passwords here: trayconnect asks for them, or keeps them in the system keyring.

servers:
#   - name: GPU box                       # shown in the menu; unique
#     group: Lab                          # a submenu; default: none
#     host: gpu.example.org               # a name, an address, or a Host alias of ~/.ssh/config
#     port: 22
#     username: ada                       # default: your name on this machine
#     auth:
#       identity_file: ~/.ssh/id_ed25519  # the keys of the SSH agent are tried too
#       password: ask                     # ask | keyring; never the password itself
#       agent: ~/.1password/agent.sock    # its socket, or none; default: SSH_AUTH_SOCK
#     jump_hosts: [ada@gate.example.org:2222]
#     legacy: []                          # such as [aes256-cbc], if the server has nothing better
#     jupyter:
#       host: localhost                   # as seen from the server
#       port: auto                        # a number, or auto: your running one is found
#       path: /lab
#     start:                              # start Jupyter where none runs; or just: start: true
#       folder: ~/thesis                  # on the server; default: the home folder
#       environment: {conda: ml}          # {venv: folder}, {module: [names]}, or {run: a line}
#       app: lab                          # lab | notebook | server
#       options: [--ServerApp.max_body_size=1000000000]
#       when: missing                     # missing: on connecting; menu: by a click
#       socket: auto                      # a UNIX socket where others use the server; always, never
#     local_port: 18888                   # default: derived from the name, and stable
#     bind_address: localhost             # or an IP address; '*' lets other machines in
#     hold_seconds: 20                    # a new browser connection waits while reconnecting
#     connect_timeout: 15                 # seconds, for each step
#     keepalive: {interval: 15, count_max: 3}
#     open_browser: true
#     connect_on_start: false
#     notify_idle: true                   # tell when a long-running cell has ended
#     forwards:                           # more of the same server
#       - name: TensorBoard
#         local_port: 6006                # default: derived from the names, and stable
#         host: localhost
#         port: 6006
#         open: true                      # offer it in the menu
#         open_as: address                # or localhost, for a tool that takes only this name
#         path: /                         # the page to open
#         ready: /data/environment        # offer it when this answers; default: always
#       - tool: dask                      # all of that at once; or marimo, streamlit, mlflow, …
#       - -L 5432:db.example.org:5432     # as in OpenSSH: a local forward,
#       - -R 9000:localhost:9000          # a remote one (the server listens),
#       - -D 1080                         # and a SOCKS proxy
#       - name: Docker                    # UNIX sockets, at either end
#         local_socket: ~/.trayconnect/docker.sock
#         remote_socket: /run/docker.sock
#       - name: Hook                      # what the server listens on leads to this machine
#         kind: remote                    # local | remote | dynamic
#         bind_address: localhost
#         remote_port: 9001
#         port: 3000
#
#   - name: Shared node
#     host: node.example.org
#     jupyter:
#       socket: /run/user/1000/lab.sock   # a Jupyter that listens on a UNIX socket
#
#   - name: Cluster
#     host: login.cluster.example.org     # the login node; Jupyter runs as a job of the scheduler
#     batch:                              # or just: batch: true
#       system: auto                      # slurm | gridengine; auto: what the login node has
#       time: 4:00:00                     # the time limit to ask for
#       options: [--partition=gpu, --gres=gpu:1, --mem=16G]
#       when: connect                     # connect: submit if none runs; menu: only by New job
#       reach: auto                       # ssh | srun | direct: how the node is reached
#     start: {folder: ~/thesis, environment: {module: [python]}}
#
#   - name: Lab desktop
#     url: http://192.168.1.20:8888/      # a direct connection: no tunnel, the same menu
#
# defaults:                               # what servers share; not name, url, local_port, legacy
#   keepalive: {interval: 30, count_max: 3}
"""


def write_sample(path: Path) -> bool:
    """Write the sample for the user alone (0600) if there is no file, and make its folders (0700);
    false if there is one. Raises `ProblemError`."""
    try:
        make_folder(path.parent)
        return _write(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ProblemError(
            Problem(
                title=f"The server file {path} cannot be written",
                advice="Check the permissions of its folder and the space on the disk, or name "
                "another file with --config.",
                detail=str(error),
            )
        ) from error


def _write(path: Path) -> bool:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(SAMPLE)
    except OSError:
        # A full disk must not leave half a sample, which the next start would keep.
        path.unlink(missing_ok=True)
        raise
    return True

# Where a Jupyter is to listen on a UNIX socket, makes one that listens for a few seconds: whether this
# SSH server leads to sockets is found out before Jupyter starts. POSIX sh, behind process.sh,
# sockets.sh and assignments: sock, port and sharing.

by_python() {
    for python in python3 python /usr/bin/python3; do
        command -v "$python" && "$python" -c '
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + "~")
listener.listen(8)
os.rename(sys.argv[1] + "~", sys.argv[1])
listener.settimeout(20)
try:
    listener.accept()
finally:
    os.unlink(sys.argv[1])' "$place" && return
    done
    return 1
}

# An agent without keys.
by_agent() {
    command -v ssh-agent || return
    ssh-agent -D -a "$place" &
    agent=$!
    sleep 20
    kill "$agent"
}

by_tmux() { command -v tmux && tmux -S "$place" -f /dev/null new-session -d 'sleep 20'; }

listens() {
    turns=0
    until [ -S "$place" ]; do
        [ $turns -lt $((4 * ticks)) ] || return 1
        turns=$((turns + 1))
        sleep $tick
    done
}

main() {
    printf '\n@@trayconnect reach 1\n'
    uid=$(id -u)
    umask 077
    learn_ticks
    wants_socket || { say port; return; }
    make_socket_folder || { say unknown; return; }
    # Another start's may be in use; each listens for 20 seconds.
    find "$sockets" -name 'reach-*' -mmin +1 -exec rm -f {} +
    place=$sockets/reach-$$
    for way in python agent tmux; do
        # It outlives this command, and holds none of its output.
        by_$way >/dev/null &
        listens && { say "socket $place"; return; }
    done
    say unknown
}

# Read whole before it runs, so that no command takes the rest of the script for its input.
main </dev/null 2>/dev/null

# Lists the Jupyter servers that this account runs on this host: for each, its runtime file, the
# addresses and sockets its process really listens on, and how many kernels it runs. Changes
# nothing. POSIX sh, behind process.sh; needs neither Jupyter nor Python. Whoever reads this output must skip what a
# start-up file printed before it.

# With ownership of the listener unknown (no /proc, no lsof) it says so, and the reader must not
# use the token: the port of a stale file may belong to somebody else by now.

# The folder that the login's own environment names.
named() {
    printf '%s\n' "${JUPYTER_RUNTIME_DIR:-${JUPYTER_DATA_DIR:+$JUPYTER_DATA_DIR/runtime}}"
}

# The usual folders, and those that running processes of ours were told to use.
others() {
    printf '%s\n' "${XDG_DATA_HOME:-$HOME/.local/share}/jupyter/runtime" \
        "$HOME/Library/Jupyter/runtime" "${XDG_RUNTIME_DIR:-/run/user/$uid}/jupyter"
    for environ in /proc/[0-9]*/environ; do
        [ -O "$environ" ] && printf '%s\n' "$environ"
    done | xargs cat | tr '\0' '\n' |
        sed -n 's/^JUPYTER_RUNTIME_DIR=//p; s/^JUPYTER_DATA_DIR=\(..*\)/\1\/runtime/p'
}

# The runtime files in the folders on standard input whose processes live, newest first. Thousands
# of stale ones may lie there: no command runs for any of them.
runtime_files() {
    set --
    while IFS= read -r folder; do
        case $folder in /*) ;; *) continue ;; esac
        for file in "$folder"/jpserver-*.json "$folder"/nbserver-*.json; do
            pid=${file##*-}
            pid=${pid%.json}
            case $pid in '' | *[!0-9]*) continue ;; esac
            kill -0 "$pid" && [ -f "$file" ] && [ -O "$file" ] && set -- "$@" "$file"
        done
    done
    [ $# -gt 0 ] && ls -td -- "$@"
}

# The TCP addresses that process $1 listens on, behind the name of what told them. $2 is what
# `ls -l` says of its descriptors; if that is nothing, it may be any process of this account.
listens() {
    if [ -n "$have_proc" ]; then
        printf 'proc'
        printf '%s\n' "$listeners" | while read -r inode address; do
            case $2 in '' | *"socket:[$inode]"*) printf ' %s' "$address" ;; esac
        done
    elif command -v lsof >/dev/null; then
        printf 'lsof'
        lsof -nP -a -p "$1" -iTCP -sTCP:LISTEN -Fn | sed -n 's/^n/ /p' | tr -d '\n'
    else
        printf 'unknown'
    fi
}

# The paths of the UNIX sockets that process $1 listens on, one a line.
socket_paths() {
    if [ -n "$have_proc" ]; then
        printf '%s\n' "$unix_listeners" | while read -r inode path; do
            case $2 in '' | *"socket:[$inode]"*) printf '%s\n' "$path" ;; esac
        done
    elif command -v lsof >/dev/null; then
        lsof -a -p "$1" -U -Fn | sed -n 's/^n\(\/.*\)/\1/p' | sed 's/ type=STREAM.*//'
    fi
}

# How many children process $1 started with a kernel's connection file.
kernels_of() {
    case $kernels in
        '') ;;
        *" $1:"*) count=${kernels#*" $1:"} && printf '@@kernels %s\n' "${count%% *}" ;;
        *) printf '@@kernels 0\n' ;;
    esac
}

# The program of process $1; and whether it is the server that a JupyterHub started for one user, and
# where that Hub is.
program_of() {
    if [ -n "$have_proc" ]; then
        command=$(tr '\0' ' ' <"/proc/$1/cmdline")
    else
        command=$(ps -ww -o args= -p "$1")
    fi
    python=${command%% *}
    [ -x "$python" ] && printf '@@python %s\n' "$python"
    case $command in
        *jupyterhub-singleuser* | *jupyterhub.singleuser* | *jupyter-labhub*) ;;
        *) return ;;
    esac
    printf '@@hub\n'
    [ -n "$have_proc" ] && tr '\0' '\n' <"/proc/$1/environ" |
        sed -n 's/^JUPYTERHUB_PUBLIC_URL=/@@hub /p; s/^JUPYTERHUB_PUBLIC_HUB_URL=/@@hub /p'
}

# The processes that start.sh began for this account here, each as PID:what.
begun() {
    for state in "${XDG_STATE_HOME:-$HOME/.local/state}"/trayconnect/*"@$(uname -n)"; do
        [ -O "$state/pid" ] && read -r pid _ <"$state/pid" && read -r what <"$state/what" &&
            printf '%s:%s ' "$pid" "$what"
    done
}

# What process $1 was started as, by start.sh.
started_as() {
    case $begun in
        *" $1:"*) what=${begun#*" $1:"} && printf '@@started %s\n' "${what%% *}" ;;
    esac
}

# One block for each runtime file on standard input whose process lives.
report() {
    count=0
    while IFS= read -r file; do
        pid=${file##*-}
        pid=${pid%.json}
        descriptors=
        [ -n "$have_proc" ] && descriptors=$(ls -l "/proc/$pid/fd")
        # Those of a process of another group, as after newgrp, cannot be read.
        case $descriptors in *' -> '*) ;; *) descriptors= ;; esac
        addresses=$(listens "$pid" "$descriptors")
        sockets=$(socket_paths "$pid" "$descriptors")
        # A process that listens on nothing has the number of one that has ended.
        [ "$addresses$sockets" != proc ] || continue
        printf '@@server %s\n@@listens %s\n@@born %s\n' "$pid" "$addresses" "$(born "$pid")"
        started_as "$pid"
        printf '%s\n' "$sockets" | while IFS= read -r path; do
            # Its file may have been replaced since by a stranger's.
            [ -S "$path" ] && [ -O "$path" ] && printf '@@socket %s\n' "$path"
        done
        kernels_of "$pid"
        program_of "$pid"
        printf '@@file\n'
        head -c 16384 <"$file"
        printf '\n@@end\n'
        count=$((count + 1))
        [ $count -lt 32 ] || break
    done
}

main() {
    LC_ALL=C
    export LC_ALL
    uid=$(id -u)
    have_proc=
    [ -r /proc/net/tcp ] && have_proc=yes
    # /proc/net/tcp holds addresses as numbers in the machine's byte order; state 0A is LISTEN.
    listeners=$(cat /proc/net/tcp /proc/net/tcp6 |
        awk -v uid="$uid" '$4 == "0A" && $8 == uid { print $10, $2 }')
    # In /proc/net/unix, the flag __SO_ACCEPTCON tells who listens.
    unix_listeners=$(awk '$4 == "00010000" && $8 ~ /^\// {
        inode = $7; for (i = 0; i < 7; i++) sub(/^ *[^ ]+ +/, ""); print inode, $0 }' /proc/net/unix)
    kernels=$(ps -A -ww -o ppid= -o args= | awk '/kernel-[^ \/]*\.json/ { count[$1]++ }
        END { if (NR) printf " " ; for (pid in count) printf "%s:%s ", pid, count[pid] }')
    printf '\n@@trayconnect find 2\n@@order %s\n' "$(printf '\001\000' | od -An -tu2 | tr -d ' ')"
    printf '@@home %s\n' "$HOME"
    begun=" $(begun)"
    named=$(named)
    printf '%s\n' "$named" | runtime_files | report
    export named
    others | awk 'length && $0 != ENVIRON["named"] && !seen[$0]++' | runtime_files | report
    printf '@@done\n'
}

main </dev/null 2>/dev/null

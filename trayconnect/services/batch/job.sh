# What a batch job runs: a Jupyter, and the files that tell where it is. POSIX sh, the last part of
# the job's script: behind process.sh, sockets.sh, assignments (name and mark; limit, in seconds; what
# to start, as for start.sh, with program, the text of run.sh), the relay's function serve_node, and
# locate.sh. The lines before all of them set states, the folder of all jobs, and mask, the umask of
# the login.

# Puts standard input into the file $1 of the job's folder. Who reads it never sees a part of it.
put() { cat >"$state/$1.new" && mv -f "$state/$1.new" "$state/$1"; }

# The folder of the cgroup $2, whose hierarchy may be mounted at $1 in part only.
cgroup() {
    part=$(awk -v at="$1" '$5 == at && $4 != "/" { part = $4 } END { print part }' /proc/self/mountinfo)
    printf '%s%s\n' "$1" "${2#"$part"}"
}

# How many processes of its cgroup the kernel has killed for want of memory, as far as that tells.
killed() {
    while IFS=: read -r _ kind path; do
        case ,$kind, in
        ,,) cat "$(cgroup /sys/fs/cgroup "$path")/memory.events" ;;
        *,memory,*) cat "$(cgroup /sys/fs/cgroup/memory "$path")/memory.oom_control" ;;
        esac
    done </proc/self/cgroup | awk '$1 == "oom_kill" { n += $2 } END { print n + 0 }'
}

# Ends the job: its exit status, what told it to end (a signal, `limit` or `memory`), and when.
finish() {
    [ "$1" != 137 ] || [ -n "$told" ] || [ "$(killed)" -le "$killed" ] || told=memory
    slack=$((limit < 300 ? limit / 10 : 30))
    case $told in
    '' | memory) ;;
    *) [ $(($(date +%s) - began)) -lt $((limit - slack)) ] || told=limit ;;
    esac
    rm -f "$state/socket" "$state/relay" "$state/env" "$state/login.env"
    [ -z "$sock" ] || rm -f "$sock"
    printf '%s %s %s\n' "$1" "${told:--}" "$(date +%s)" | put status
    exit "$1"
}

fail() {
    printf 'trayconnect: %s\n' "$2" >>"$state/log"
    [ ! -s "$state/looked" ] || tr ':' '\n' <"$state/looked" | sed '/./!d; s/^/  not in /' >>"$state/log"
    finish "$1"
}

# --- before ---------------------------------------------------------------------------------------

# The names under which the login node may know this node, and the keys of its SSH server.
tell_node() {
    { uname -n; printf '%s\n' "${SLURMD_NODENAME-}"; timeout 5 hostname -f; } | awk 'NF && !seen[$1]++' | put node
    cat /etc/ssh/ssh_host_*_key.pub | head -c 16384 | put host_keys
    [ -n "${SLURMD_NODENAME-}" ] && command -v scontrol || return
    # A name that no resolver knows has an address in the scheduler's own list.
    (
        address=$(timeout 20 scontrol -o show node "$SLURMD_NODENAME" |
            sed -n 's/.* NodeAddr=\([^ ]*\).*/\1/p')
        [ -z "$address" ] || { cat "$state/node"; printf '%s\n' "$address"; } |
            awk 'NF && !seen[$1]++' | put node
    ) &
}

# An order is one job: where an answer got lost and it was submitted twice, the second one ends. Some
# file systems have no hard links; the folder is made once in all.
take_order() {
    order=$states/${name##*-}/orders/$mark
    mkdir -p "${order%/*}"
    if mkdir "$order"; then : >"$order/$job"; fi
    [ -e "$order/$job" ] || [ ! -d "$order" ]
}

# A job that was killed has no status; none is longer than a year. No path is read as a line: one that
# holds a line break would end as another.
forget_old() {
    find "$states/${name##*-}/." ! -name . -type d ! -name '[0-9]*' -prune -o \
        -type f -name status -path '*/[0-9]*/status' -mtime +7 \
        -exec sh -c 'for file; do rm -rf "${file%/*}"; done' sh {} +
    find "$states/${name##*-}/." ! -name . -prune -type d -name '[0-9]*' -mtime +400 -exec rm -rf {} +
    find "$states/${name##*-}/orders/." ! -name . -prune -mtime +400 -exec rm -rf {} +
}

choose_socket() {
    sock=
    make_socket_folder || fail 73 "/tmp/tc-$uid cannot be made a folder of our own"
    sock=$sockets/$name-$job.sock
    rm -f "$sock"
}

# --- while Jupyter runs ---------------------------------------------------------------------------

lives() { is_same "$child" "$when"; }

# Whether it has written its runtime file, and made its socket.
is_ready() {
    runtime=$(cat "$state/runtime") || return 1
    [ -s "$runtime/jpserver-$child.json" ] || [ -s "$runtime/nbserver-$child.json" ] || return 1
    [ -S "$sock" ]
}

attend() {
    until is_ready || ! lives; do
        sleep $tick
    done
    if lives; then
        printf '%s\n' "$sock" | put socket
        serve_node "$child"
    fi
    while :; do
        wait "$child"
        status=$?
        lives || break
    done
    # A wait that a signal interrupted has not read the status.
    [ -z "$told" ] || { wait "$child"; again=$?; [ $again = 127 ] || status=$again; }
}

# Whether the job's processes have the address space that all of them may have: Grid Engine, which then
# ends the job, allows no process more.
is_too_large() {
    most=$(ulimit -v)
    [ "$most" != unlimited ] || return 1
    ps -e -o pid= -o ppid= -o vsz= | awk -v top=$$ -v most="$most" '
        { parent[$1] = $2; size[$1] = $3 }
        END {
            for (one in size) {
                for (at = one; at > 1 && at != top && steps[one]++ < 99;) at = parent[at]
                if (at == top) sum += size[one]
            }
            exit sum * 1.1 < most
        }'
}

# A scheduler may tell the job's script alone. Jupyter saves, and deletes its runtime file.
pass() {
    told=$1
    ! is_too_large || told=memory
    [ -z "$child" ] || kill -TERM "$child"
}

main() {
    told= child=
    began=$(date +%s)
    killed=$(killed)
    for one in HUP INT TERM USR1 USR2 XCPU; do
        # shellcheck disable=SC2064
        trap "pass $one" "$one"
    done
    unset SLURM_EXPORT_ENV
    umask 077
    uid=$(id -u)
    job=${SLURM_JOB_ID:-$JOB_ID}
    state=$states/${name##*-}/$job
    # A Jupyter that cannot write its own files would run until the end of its time, and show no page.
    mkdir -p "$state" && chmod 700 "$state" && head -c 262144 /dev/zero >"$state/written" &&
        [ -O "$state" ] || { rm -f "$state/written"; exit 70; }
    # Those of a job that the scheduler began once before.
    rm -f "$state/written" "$state/pid" "$state/status" "$state/socket" \
        "$state/relay" "$state/wanted" "$state/runtime" "$state/looked"
    : >>"$state/log"
    tell_node
    take_order || { told=twin; fail 75 'this order has started another job'; }
    forget_old
    learn_ticks
    # Grid Engine names its own shell.
    SHELL=$(getent passwd "$uid" | cut -d: -f7)
    export SHELL
    learn_login
    locate
    choose_socket
    keep_findings >"$state/env"
    printf '%s\n' "$program" | put run.sh
    [ -z "$told" ] || finish 143
    shell=$(command -v bash || command -v sh)
    (
        # These tell the job of its coming end, and would kill a Python.
        trap '' USR1 USR2 XCPU
        exec "$shell" "$state/run.sh" >>"$state/log" 2>&1 </dev/null
    ) &
    child=$!
    when=$(born "$child")
    attend
    finish "$status"
}

main </dev/null >/dev/null 2>&1

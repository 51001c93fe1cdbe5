# When a Jupyter is to listen on a UNIX socket, and where. POSIX sh: stands behind process.sh and before
# start.sh and reach.sh. sock and port say where the entry wants it; sharing is what it says of others.

# Whether processes of other people run here. Accounts of programs have small numbers, or those
# that systemd gives for a while; nobody is 65534.
is_shared() {
    { ls -ldn /proc/[0-9]* | awk '{ print $3 }'; ps -axo uid=; } |
        awk -v uid="$uid" '$1 >= 1000 && $1 != uid && ($1 < 61184 || $1 > 65534) { found = 1 } END { exit !found }'
}

# A folder for sockets that only we can enter; the path of a socket must be short. Another account
# may have been first with the usual name: then one that nobody can know before.
make_socket_folder() {
    mkdir -m 700 "/tmp/tc-$uid"
    for sockets in "/tmp/tc-$uid" "/tmp/tc-$uid".*; do
        ! is_only_ours "$sockets" || return 0
    done
    sockets=$(mktemp -d "/tmp/tc-$uid.XXXXXX") && is_only_ours "$sockets"
}

is_only_ours() {
    [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ] || return 1
    case $(ls -ld "$1") in drwx------*) return 0 ;; *) return 1 ;; esac
}

wants_socket() {
    [ -z "$sock" ] || return 0
    [ "$port" = 0 ] && [ "$sharing" != never ] || return 1
    [ "$sharing" = always ] || is_shared
}

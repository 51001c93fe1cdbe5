# When a Jupyter is to listen on a UNIX socket, and where. POSIX sh: stands behind process.sh and before
# start.sh and reach.sh. sock and port say where the entry wants it; sharing is what it says of others.

# Whether processes of other people run here. Accounts of programs have small numbers, or those
# that systemd gives for a while; nobody is 65534.
is_shared() {
    { ls -ldn /proc/[0-9]* | awk '{ print $3 }'; ps -axo uid=; } |
        awk -v uid="$uid" '$1 >= 1000 && $1 != uid && ($1 < 61184 || $1 > 65534) { found = 1 } END { exit !found }'
}

# A folder for sockets that only we can enter; the path of a socket must be short.
make_socket_folder() {
    sockets=/tmp/tc-$uid
    mkdir -m 700 "$sockets"
    [ -d "$sockets" ] && [ ! -h "$sockets" ] && [ -O "$sockets" ] || return 1
    case $(ls -ld "$sockets") in drwx------*) return 0 ;; *) return 1 ;; esac
}

wants_socket() {
    [ -z "$sock" ] || return 0
    [ "$port" = 0 ] && [ "$sharing" != never ] || return 1
    [ "$sharing" = always ] || is_shared
}

# Answers, until its input ends, who holds a TCP port or a UNIX socket of this host. Changes nothing.
# POSIX sh. Whoever reads this output must skip what a start-up file printed before it.

# A question is a line "KIND NUMBER VALUE"; the answer lies between "@@begin NUMBER" and
# "@@end NUMBER", and is whole only with "whole" as its last line.

# All sockets at a port: local and remote address, state, user, inode, as in proc(5). Those that only
# wait for late packets (TIME_WAIT, 06) have no owner, and there may be thousands. This gives the
# whole answer, since another process would cost as much as the tables do.
proc() {
    # shellcheck disable=SC2086
    awk -v n="$1" -v p=":$2" '
        BEGIN { print "@@begin " n }
        $4 != "06" && (substr($2, length($2) - 4) == p || substr($3, length($3) - 4) == p) {
        print "socket", $2, $3, $4, $8, $10 }
        END { if (NR) print "whole"; print "@@end " n }' $tables
}

# The listeners at a port: user and address; of all users.
with_sockstat() {
    sockstat -46ln -P tcp -p "$2" | awk '
        $5 ~ /^tcp(6|46)/ { sub(/^[*]/, "::", $6) }
        NR > 1 { print "listener", $1, $6 }
        END { if (NR) print "whole" }'
}

# The same; of this user's processes alone, unless it is root.
with_lsof() {
    lsof -nP -a -u "$uid" -iTCP:"$2" -sTCP:LISTEN -Fn | sed -n "s/^n/listener $uid /p"
    printf 'whole\n'
}

# Where a socket really is, links followed; and inode, mode, user and group of each folder on the
# way to it, and of the socket itself.
unix() {
    path=$1
    links=0
    while :; do
        case $path in /*) ;; *) return ;; esac
        folder=$(cd -P -- "${path%/*}/" && pwd -P) || { printf 'whole\n'; return; }
        path=${folder%/}/${path##*/}
        [ -L "$path" ] || break
        links=$((links + 1))
        [ $links -le 40 ] || { printf 'whole\n'; return; }
        to=$(readlink "$path") || { printf 'link\nwhole\n'; return; }
        case $to in /*) path=$to ;; *) path=${folder%/}/$to ;; esac
    done
    if [ ! -S "$path" ]; then printf 'whole\n'; return; fi
    # Anybody could give a file a name that ends this answer, and gives the next one.
    case $path in *"
"*) printf 'link\nwhole\n'; return ;; esac
    printf 'at %s\n' "$path"
    set -- "$path"
    while [ -n "$folder" ] && [ "$folder" != / ]; do
        set -- "$folder" "$@"
        folder=${folder%/*}
    done
    # Sorted, which is from the root on.
    ls -ldin -- / "$@" | awk '{ print "place", $1, $2, $4, $5 } END { print "whole" }'
}

# The port of a question stands in base 16 and in base 10.
answer() {
    case $1 in
        tcp) $source "${2% *}" "${2#* }" ;;
        unix) unix "$2" ;;
    esac
}

# Whether this runs in the network of the SSH server that started it is known by the connection to
# that: its addresses and ports, and the sockets that may be it.
network() {
    # shellcheck disable=SC2086
    set -- $SSH_CONNECTION
    [ $# = 4 ] || return
    echo "$1,$2,$3,$4"
    [ -n "$tables" ] || return
    # The kernel may skip a row while others come and go.
    own_connection "$2" "$4" || own_connection "$2" "$4"
}

# Established connections with these remote and local ports: addresses and user. Whether there are
# any.
own_connection() {
    # shellcheck disable=SC2086
    awk -v far="$(printf ':%04X' "$1")" -v near="$(printf ':%04X' "$2")" '
        $4 == "01" && substr($2, length($2) - 4) == near && substr($3, length($3) - 4) == far {
        print $2 "," $3 "," $8; found = 1 }
        END { exit !found }' $tables
}

# Whether this runs in the network of the SSH server that is the nearest one above it among the
# processes.
is_below() {
    process=self
    while read -r stat <"/proc/$process/stat"; do
        case $stat in
            *"(sshd) "* | *"(sshd-session) "*)
                # Each network has files of its own.
                # shellcheck disable=SC2046
                set -- $(ls -i /proc/self/net/tcp "/proc/$process/net/tcp")
                [ $# = 4 ] && [ "$1" = "$3" ]
                return
                ;;
        esac
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        process=$2
    done
    return 1
}

main() {
    LC_ALL=C
    export LC_ALL
    uid=$(id -u)
    # The group that is this user's alone.
    own_group=-
    [ "$(id -gn)" = "$(id -un)" ] && own_group=$(id -g)
    first=$(awk '$1 == "UID_MIN" { print $2; exit }' /etc/login.defs)
    tables=
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r $table ] && tables="$tables $table"
    done
    source=-
    if [ -n "$tables" ]; then
        command -v awk >/dev/null && source=proc
    elif command -v sockstat >/dev/null; then
        source=with_sockstat
    elif command -v lsof >/dev/null; then
        source=with_lsof
    fi
    network=
    case $SSH_CONNECTION in
        # It has no connection that tables list: it talks through a pipe.
        UNKNOWN*) is_below && network=below ;;
        *) network=$(network) ;;
    esac
    # shellcheck disable=SC2086
    set -- ${network:--}
    printf '\n@@trayconnect owners 1 %s %s %s %s %s %s\n' "$uid" "$own_group" "${first:--}" $source \
        "$(printf '\001\000' | od -An -tu2 | tr -d ' ')" "$*"
    while IFS= read -r question; do
        [ -n "$question" ] || continue
        kind=${question%% *}
        question=${question#* }
        number=${question%% *}
        question=${question#* }
        if [ $source = proc ] && [ "$kind" = tcp ]; then
            proc "$number" "${question% *}" </dev/null || exit
            continue
        fi
        found=$(answer "$kind" "$question" </dev/null)
        # In one piece: sshd lets a second small packet wait for the acknowledgement of the first.
        printf '@@begin %s\n%s@@end %s\n' "$number" "${found:+$found
}" "$number"
    done
}

main 2>/dev/null

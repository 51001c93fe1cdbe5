# Answers, until its input ends, who holds a TCP port or a UNIX socket of this host. Changes nothing.
# POSIX sh. Whoever reads this output must skip what a start-up file printed before it.

# A question is a line "KIND NUMBER VALUE"; the answer lies between "@@begin NUMBER" and
# "@@end NUMBER", and is whole only with "whole" as its last line.

# All sockets at a port: local and remote address, state, user, inode, as in proc(5). Those that only
# wait for late packets (TIME_WAIT, 06) have no owner, and there may be thousands.
proc() {
    # shellcheck disable=SC2086
    awk -v p=":$1" '
        $4 != "06" && (substr($2, length($2) - 4) == p || substr($3, length($3) - 4) == p) {
        print "socket", $2, $3, $4, $8, $10 } END { if (NR) print "whole" }' $tables
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

# Whether the tables lack the connection to the SSH server that this runs under.
is_elsewhere() {
    # shellcheck disable=SC2086
    set -- $SSH_CONNECTION
    case ${1:-UNKNOWN} in UNKNOWN) return 1 ;; esac
    [ $# = 4 ] || return 1
    # shellcheck disable=SC2086
    awk -v far="$(printf ':%04X' "$2")" -v near="$(printf ':%04X' "$4")" '
        substr($2, length($2) - 4) == near && substr($3, length($3) - 4) == far { found = 1; exit }
        END { exit found }' $tables
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
    if [ -n "$tables" ] && command -v awk >/dev/null; then
        source=proc
    elif command -v sockstat >/dev/null; then
        source=with_sockstat
    elif command -v lsof >/dev/null; then
        source=with_lsof
    else
        source=-
    fi
    elsewhere=-
    # The kernel may skip a row while others come and go.
    [ $source = proc ] && is_elsewhere && is_elsewhere && elsewhere=elsewhere
    printf '\n@@trayconnect owners 1 %s %s %s %s %s %s\n' "$uid" "$own_group" "${first:--}" "$source" \
        "$(printf '\001\000' | od -An -tu2 | tr -d ' ')" $elsewhere
    while IFS= read -r question; do
        [ -n "$question" ] || continue
        kind=${question%% *}
        question=${question#* }
        number=${question%% *}
        found=$(answer "$kind" "${question#* }" </dev/null)
        # In one piece: sshd lets a second small packet wait for the acknowledgement of the first.
        printf '@@begin %s\n%s@@end %s\n' "$number" "${found:+$found
}" "$number"
    done
}

main 2>/dev/null

# Which process it is: stands before the other scripts, which know processes by their numbers, and a
# number is given to another process in time. POSIX sh.

# A login may let ls put names in quotes.
unset QUOTING_STYLE

say() { printf '@@%s\n' "$*"; }

# $1 as one word of sh.
quoted() { printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"; }

# The boot, and when process $1 began in it: the same only for the same process. Nothing for one that
# has ended.
born() {
    if read -r boot </proc/sys/kernel/random/boot_id && read -r stat <"/proc/$1/stat"; then
        # The name of its program stands in parentheses before these, and may hold blanks.
        set -- ${stat##*) }
        [ "$1" != Z ] || return
        shift 19
        printf '%s:%s\n' "$boot" "$1"
    else
        LC_ALL=C ps -o lstart= -p "$1" | tr -s ' \n' - | sed 's/-$//'
    fi
} 2>/dev/null

# Whether process $1 lives, and is the one that began then.
is_same() { kill -0 "$1" && [ "$(born "$1")" = "$2" ]; }

# Sets how long a turn of a loop sleeps, and how many turns make a second.
learn_ticks() {
    tick=1 ticks=1
    sleep 0.1 && tick=0.1 ticks=10
}


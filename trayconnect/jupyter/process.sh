# Which process it is: stands before the other scripts, which know processes by their numbers, and a
# number is given to another process in time. POSIX sh.

# The boot, and when process $1 began in it. The same only for the same process.
born() {
    if read -r boot </proc/sys/kernel/random/boot_id && read -r stat <"/proc/$1/stat"; then
        # The name of its program stands in parentheses before these, and may hold blanks.
        set -- ${stat##*) }
        shift 19
        printf '%s:%s\n' "$boot" "$1"
    else
        LC_ALL=C ps -o lstart= -p "$1" | tr -s ' \n' - | sed 's/-$//'
    fi
} 2>/dev/null


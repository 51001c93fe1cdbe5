# Submits a job, unless one of the same order is there. POSIX sh, behind process.sh, the scheduler's
# functions (`find_commands`; `orders`, which lists the jobs of that name, each as its number, `live` or
# `over`, and its comment; `submit`, which reads the job's script), report.sh, and assignments: name,
# mark, script, and any: not empty if another living job of that name will do.

# Whether the scheduler answers. A job of this order: @@found, with `over` if it has ended. One that has begun has left its number
# (see job.sh), and the scheduler may have forgotten it since.
look() {
    found=$(ls "$states/${name##*-}/orders/$mark" | head -n 1)
    [ -z "$found" ] || { say "looked 0"; say "found $found"; return 0; }
    listed=$(orders 2>&1)
    status=$?
    say "looked $status"
    [ $status = 0 ] || { printf '%s\n' "$listed" | indented; return 1; }
    found=$(printf '%s\n' "$listed" | while read -r number how comment; do
        [ "$comment" != "trayconnect 1 $mark" ] || { printf '%s %s\n' "$number" "$how"; break; }
    done)
    # Another computer may have ordered it a moment ago.
    [ -n "$found" ] || [ -z "$any" ] || found=$(printf '%s\n' "$listed" | awk '$2 == "live" { print $1; exit }')
    [ -z "$found" ] || say "found $found"
}

# The job's script. The home of a job may have other settings than this login.
whole() {
    printf '#!/bin/sh\nstates=%s\nmask=%s\n' "$(quoted "$states")" "$(quoted "$mask")"
    printf '%s\n' "$script"
}

main() {
    printf '\n@@trayconnect submit 1\n'
    mask=$(umask)
    umask 077
    find_commands
    # While the scheduler does not answer, nobody knows what an earlier try has left.
    if look && [ -z "$found" ]; then
        say sent
        sent=$({ whole | submit; printf '\n@rc %s' $?; } 2>&1)
        printf '%s\n' "$sent" | indented
        # A command that failed may have submitted.
        case $sent in *'@rc 0') ;; *) look ;; esac
    fi
    say "done"
}

main </dev/null 2>/dev/null

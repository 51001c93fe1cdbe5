# Asks when a job would start, and submits none. POSIX sh, behind the same as submit.sh.

main() {
    printf '\n@@trayconnect trial 1\n'
    find_commands
    said=$(printf '#!/bin/sh\n%s\n' "$script" | forecast 2>&1)
    say "sent $?"
    printf '%s\n' "$said" | indented
    say "now $(date '+%s %Y-%m-%dT%H:%M:%S')"
    say "done"
}

main </dev/null 2>/dev/null

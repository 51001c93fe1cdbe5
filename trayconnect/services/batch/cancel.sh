# Ends a job. POSIX sh, behind process.sh, the scheduler's functions (`find_commands`, `cancel`),
# report.sh, and an assignment: number.

main() {
    printf '\n@@trayconnect cancel 1\n'
    find_commands
    said=$(cancel "$number" 2>&1)
    say "cancelled $?"
    printf '%s\n' "$said" | indented
    say "done"
}

main </dev/null 2>/dev/null

# Tells how a Jupyter ended. POSIX sh, behind process.sh and assignments: pid and when (which process).

main() {
    printf '\n@@trayconnect ended 1\n'
    is_same "$pid" "$when" && { say lives; return; }
    learn_ticks
    for state in "${XDG_STATE_HOME:-$HOME/.local/state}"/trayconnect/*"@$(uname -n)"; do
        [ -O "$state/pid" ] && read -r number began <"$state/pid" || continue
        [ "$number $began" = "$pid $when" ] || continue
        # Its exit status is noted a moment after its end.
        turns=0
        until [ -s "$state/rc" ] || [ $turns -ge $((2 * ticks)) ]; do
            turns=$((turns + 1))
            sleep $tick
        done
        if [ -s "$state/rc" ]; then
            say "status $(cat "$state/rc")"
        else
            say killed
        fi
        return
    done
    [ -z "$boot" ] || [ "${when%%:*}" = "$boot" ] || say rebooted
}

read -r boot </proc/sys/kernel/random/boot_id 2>/dev/null
# Read whole before it runs, so that no command takes the rest of the script for its input.
main </dev/null 2>/dev/null

# Ends one Jupyter, and waits for its end. POSIX sh, behind process.sh and assignments: pid and when
# (which process), limit (seconds). SIGTERM lets Jupyter end its kernels and itself, as its own API
# does, and needs no token.

main() {
    printf '\n@@trayconnect stop 1\n'
    learn_ticks
    is_same "$pid" "$when" || { say gone; return; }
    kill -TERM "$pid" || { say denied; return; }
    turns=0
    while is_same "$pid" "$when"; do
        [ $turns -lt $((limit * ticks)) ] || { say lives; return; }
        turns=$((turns + 1))
        sleep $tick
    done
    say ended
}

# Read whole before it runs, so that no command takes the rest of the script for its input.
main </dev/null 2>/dev/null

# Prints the end of the log of a Jupyter that start.sh began: of process pid, or else of the last one
# begun under that name. POSIX sh, behind process.sh and assignments: name, pid and when.

tell() {
    say "log $1"
    tail -n 5000 "$1" | tail -c 900000
    printf '\n@@end\n'
}

main() {
    printf '\n@@trayconnect log 1\n'
    host=$(uname -n)
    folder=${XDG_STATE_HOME:-$HOME/.local/state}/trayconnect
    for state in "$folder"/*"@$host"; do
        [ -O "$state/pid" ] && read -r number began <"$state/pid" || continue
        [ "$number $began" != "$pid $when" ] || [ ! -r "$state/log" ] || { tell "$state/log"; return; }
    done
    # One that was started in another way writes its log elsewhere.
    [ "$pid" = 0 ] && [ -O "$folder/$name@$host/log" ] && tell "$folder/$name@$host/log"
}

# Read whole before it runs, so that no command takes the rest of the script for its input.
main </dev/null 2>/dev/null

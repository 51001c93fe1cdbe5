# Lists the jobs of the account, and the files of those of one entry. Changes nothing. POSIX sh, behind
# process.sh, the scheduler's functions (`find_commands`; `jobs`; `explain`, which tells how a job
# ended; `places`, which tells of those in `all`, the output of `jobs`, that wait: NUMBER place N, or
# NUMBER never WHY), report.sh, and assignments: name; ended, the numbers of jobs to explain; and
# patience, the seconds after which a job counts as one that waits.

# A folder is listed rather than a name tried: a file server's client remembers longest what was
# missing. Of the folders, the newest that the list may mean: an old job may run still.
tell_files() {
    mentioned=$(printf '%s\n' "$listed" | tr -cs 0-9 '\n' | sort -u)
    { printf '%s\n' $ended; ls -t "$states/${name##*-}" | grep -xF "$mentioned" | head -n 8; } |
        awk '/^[0-9]+$/ && !seen[$1]++' | while read -r number; do
            folder=$states/${name##*-}/$number
            [ -O "$folder" ] && ls "$folder" >/dev/null || continue
            say "files $number"
            for one in node socket pid host_keys status; do
                [ -f "$folder/$one" ] || continue
                say "file $one"
                head -c 16384 "$folder/$one" | indented
                printf '\n'
            done
            length=2048
            case " $ended " in *" $number "*) length=16384 ;; esac
            [ -s "$folder/log" ] || continue
            say "file log"
            tail -c $length "$folder/log" | indented
            printf '\n'
        done
}

# The hosts that runtime files name: a job of another program may be a Jupyter.
tell_hosts() {
    printf '%s\n' "${JUPYTER_RUNTIME_DIR:-${JUPYTER_DATA_DIR:+$JUPYTER_DATA_DIR/runtime}}" \
        "${XDG_DATA_HOME:-$HOME/.local/share}/jupyter/runtime" |
        awk 'length && !seen[$0]++' | while IFS= read -r folder; do
            ls -t "$folder" | grep -E '^(jp|nb)server-[0-9]+\.json$' | head -n 64 |
                while IFS= read -r file; do head -c 16384 "$folder/$file"; printf '\n'; done
        done | sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p; s/.*"url": *"[a-z]*:\/\/\([^:\/"]*\).*/\1/p' |
        sort -u | head -n 64 | indented
}

main() {
    printf '\n@@trayconnect query 1\n'
    find_commands
    began=$(date +%s)
    listed=$(jobs 2>&1)
    status=$?
    say "listed $status"
    printf '%s\n' "$listed" | indented
    say "now $(date '+%s %Y-%m-%dT%H:%M:%S')"
    if [ $status = 0 ]; then
        for number in $ended; do
            say "ended $number"
            explain "$number" 2>&1 | indented
        done
        say places
        all=$listed
        # A scheduler that is slow is not asked for more.
        [ -n "$ended" ] || [ $(($(date +%s) - began)) -gt 5 ] || places | indented
        tell_files
        say hosts
        tell_hosts
    fi
    say "done"
}

main </dev/null 2>/dev/null

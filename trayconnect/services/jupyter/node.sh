# Lists the runtime files of this account that may be those of a Jupyter on another host, $node,
# with the same home: newest first. Changes nothing. POSIX sh. Whoever reads this output must skip
# what a start-up file printed before it.

folders() {
    printf '%s\n' "${JUPYTER_RUNTIME_DIR:-${JUPYTER_DATA_DIR:+$JUPYTER_DATA_DIR/runtime}}" \
        "${XDG_DATA_HOME:-$HOME/.local/share}/jupyter/runtime" "$HOME/Library/Jupyter/runtime"
}

# Those that hold one of the words $@, whichever it is; thousands may lie there.
holding() {
    words=
    for word; do
        words="$words$word
"
    done
    folders | awk 'length && !seen[$0]++' | while IFS= read -r folder; do
        case $folder in /*) ;; *) continue ;; esac
        find "$folder/." ! -name . -prune -type f -user "$(id -u)" \
            \( -name 'jpserver-*.json' -o -name 'nbserver-*.json' \) \
            -exec grep -liF -e "${words%?}" {} +
    done
}

newest() {
    set --
    while IFS= read -r file; do
        set -- "$@" "$file"
    done
    [ $# -gt 0 ] && ls -td -- "$@"
}

main() {
    LC_ALL=C
    export LC_ALL
    printf '\n@@trayconnect node 1\n@@home %s\n' "$HOME"
    addresses=$(getent ahosts "$node" | awk '!seen[$1]++ { print $1 }')
    # shellcheck disable=SC2086
    printf '@@addresses %s\n' "$(echo $addresses)"
    # shellcheck disable=SC2086
    holding "${node%%.*}" "$node" $addresses | newest | head -n 32 | while IFS= read -r file; do
        printf '@@file %s\n' "$file"
        head -c 16384 <"$file"
        printf '\n@@end\n'
    done
    printf '@@done\n'
}

main </dev/null 2>/dev/null

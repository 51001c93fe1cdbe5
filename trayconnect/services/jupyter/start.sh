# Starts a Jupyter that outlives the login, or finds the one that an earlier start left running.
# POSIX sh, behind process.sh, sockets.sh, locate.sh and assignments that say what to start: name, what,
# app, folder, kind and where (the environment), port, sock, sharing, limit (seconds to wait), and
# program, the text of run.sh. All that is kept is in one folder of the account's state, which others
# cannot enter.
# Whoever reads this output must skip what a start-up file printed before it.

# Ends a start that came to nothing before there was a process: a status, and why.
fail() {
    rm -f "$state/plain.env" "$state/login.env"
    printf '%s\n' "$2" >>"$state/log"
    printf '%s\n' "$1" >"$state/rc"
    failed
}

failed() {
    say "failed $(cat "$state/rc")"
    [ -s "$state/looked" ] && say "looked $(cat "$state/looked")"
    tell_log
    exit 1
}

tell_log() {
    say log
    tail -n 40 "$state/log" | tail -c 8192
    printf '\n'
    say end
}

# --- what runs already ----------------------------------------------------------------------------

# Whether the process of the last start lives.
lives() { read -r pid when <"$state/pid" && is_same "$pid" "$when"; }

# Whether it has written its runtime file, and made its socket.
is_ready() {
    runtime=$(cat "$state/runtime") || return 1
    for file in "$runtime/jpserver-$pid.json" "$runtime/nbserver-$pid.json" \
        "$HOME/Library/Jupyter/runtime/jpserver-$pid.json"; do
        [ -s "$file" ] || continue
        kept=$(cat "$state/sock")
        [ -z "$kept" ] || [ -S "$kept" ]
        return
    done
    return 1
}

# --- a UNIX socket where others use the host ------------------------------------------------------

choose_socket() {
    [ -z "$sock" ] && wants_socket || return
    if make_socket_folder; then
        sock=$sockets/$name.sock
    elif [ "$sharing" = always ]; then
        fail 73 "$sockets cannot be made a folder of our own"
    fi
}

# --- a process that outlives the login ------------------------------------------------------------

# What a terminal multiplexer or a service manager would not hand on: what the environment of this
# command says, where the login says nothing else.
keep_environment() {
    names=$(env | sed -n 's/^\(JUPYTER_[A-Z_]*\)=.*/\1/p; s/^\([a-z]*_proxy\)=.*/\1/p' |
        grep -v -e TOKEN -e PASSWORD)
    for one in HOME USER LOGNAME SHELL LANG LC_ALL LC_CTYPE TMPDIR IPYTHONDIR MODULEPATH \
        MODULESHOME LMOD_PKG LD_LIBRARY_PATH CUDA_VISIBLE_DEVICES MAMBA_ROOT_PREFIX \
        XDG_DATA_HOME XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME $names; do
        eval "value=\${$one-}"
        [ -z "$value" ] || printf 'export %s; %s=%s\n' "$one" "$one" "$(quoted "$value")"
    done
}

by_tmux() {
    command -v tmux || return
    tmux new-session -d -s "$name" -x 200 -y 50 sh "$state/wrap.sh" ||
        tmux new-window -d -t "=$name:" sh "$state/wrap.sh"
}

by_screen() { command -v screen && TERM=${TERM:-vt100} screen -dmS "$name" sh "$state/wrap.sh"; }

# A manager that does not linger ends with the last login, and Jupyter with it.
by_systemd() {
    command -v systemd-run && [ -e "/var/lib/systemd/linger/$(id -un)" ] || return
    XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$uid} \
        systemd-run --user --quiet --collect --unit="$name" sh "$state/wrap.sh"
}

by_setsid() {
    command -v setsid || return
    setsid sh "$state/wrap.sh" >/dev/null 2>&1 </dev/null &
}

by_nohup() {
    command -v nohup || return
    nohup sh "$state/wrap.sh" >/dev/null 2>&1 </dev/null &
}

# Whether the process begins, within ten seconds. A later one than the first ends by itself.
begins() {
    count=0
    until [ -s "$state/pid" ] || [ -s "$state/rc" ]; do
        [ $count -lt $((10 * ticks)) ] || return 1
        count=$((count + 1))
        sleep $tick
    done
}

launch() {
    for way in tmux screen systemd setsid nohup; do
        printf '%s\n' "$way" >"$state/way"
        "by_$way" >/dev/null 2>"$state/start.err" && begins && return
        rm -f "$state/way"
    done
    fail 74 "no way was found to start a process that outlives this login"
}

# --- all of it ------------------------------------------------------------------------------------

take_lock() {
    mine="$$ $(born $$)"
    printf '%s\n' "$mine" >"$state/lock.$$"
    # A link is made as a whole; where there are no links, the file is made by one alone.
    ln "$state/lock.$$" "$state/lock" || [ -e "$state/lock" ] ||
        (set -C && printf '%s\n' "$mine" >"$state/lock")
    rm -f "$state/lock.$$"
    read -r holder when <"$state/lock"
    [ "$holder $when" != "$mine" ] || return 0
    # The lock of one that has ended, for the next turn.
    is_same "$holder" "$when" || rm -f "$state/lock"
    return 1
}

# Puts a text, from standard input, in the place of a file that a shell may be reading still.
replace() { cat >"$1.new" && mv -f "$1.new" "$1"; }

begin() {
    rm -f "$state/pid" "$state/rc" "$state/runtime" "$state/looked" "$state/way" "$state/sock" \
        "$state/ready"
    printf '%s\n' "$mine" >"$state/run"
    printf '%s\n' "$what" >"$state/what"
    : >"$state/log"
    keep_environment >"$state/plain.env"
    learn_login
    locate
    choose_socket
    printf '%s' "$sock" >"$state/sock"
    keep_findings >"$state/env"
    printf '%s\n' "$program" | replace "$state/run.sh"
    shell=$(command -v bash || command -v sh)
    # The end of an earlier one, told late, is none of this one's.
    printf '%s\n' 'state=${0%/*}' \
        'printf "Jupyter, started by trayconnect. Its log: %s\n" "$state/log"' \
        "$(quoted "$shell") \"\$state/run.sh\" >>\"\$state/log\" 2>&1 </dev/null" \
        'status=$?' 'read -r run <"$state/run"' \
        "[ \$status = 75 ] || [ \"\$run\" != $(quoted "$mine") ] || echo \$status >\"\$state/rc\"" |
        replace "$state/wrap.sh"
    launch
}

# Waits for one that is ready; begins one where none lives, and none is being started. One that was
# ready, and lives without a runtime file, is ending.
bring_up() {
    begun= following= turns=0 lost=0
    while [ $turns -lt $((limit * ticks)) ]; do
        if lives; then
            is_ready && return
            [ -n "$begun$following" ] || [ -e "$state/ready" ] || {
                following=yes
                say following
            }
        elif [ -n "$begun$following" ] && [ -s "$state/rc" ]; then
            failed
        elif [ -n "$begun" ]; then
            # It was killed together with what would have told how it ended.
            lost=$((lost + 1))
            [ $lost -le $((2 * ticks)) ] || fail 137 'It ended without a word.'
        elif take_lock; then
            trap 'rm -f "$state/lock"' EXIT
            trap 'exit 1' HUP INT TERM
            begin
            begun=yes
        elif [ -z "$following" ] && [ -e "$state/lock" ]; then
            following=yes
            say following
        fi
        turns=$((turns + 1))
        sleep $tick
    done
    [ -e "$state/ready" ] && say ending
    say timeout
    tell_log
    exit 1
}

main() {
    printf '\n@@trayconnect start 1\n'
    uid=$(id -u)
    mask=$(umask)
    umask 077
    state=${XDG_STATE_HOME:-$HOME/.local/state}/trayconnect/$name@$(uname -n)
    why=$(mkdir -p "$state" 2>&1) && why=$(: 2>&1 >"$state/written") && [ -O "$state" ] || {
        say 'failed 70'
        say log
        printf '%s\n' "$why"
        say end
        exit 1
    }
    chmod 700 "$state"
    learn_ticks
    lives && is_ready && say running
    bring_up
    : >"$state/ready"
    say "way $(cat "$state/way")"
    [ ! -s "$state/sock" ] || say "sock $(cat "$state/sock")"
    say "ready $pid"
    say "born $when"
    say end
}

# Read whole before it runs, so that no command takes the rest of the script for its input.
main </dev/null 2>/dev/null

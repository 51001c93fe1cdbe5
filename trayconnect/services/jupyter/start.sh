# Starts a Jupyter that outlives the login, or finds the one that an earlier start left running.
# POSIX sh, behind process.sh, sockets.sh and assignments that say what to start: name, what, app, folder, kind and
# where (the environment), port, sock, sharing, limit (seconds to wait), and program, the text of
# run.sh. All that is kept is in one folder of the account's state, which others cannot enter.
# Whoever reads this output must skip what a start-up file printed before it.

# $1 as one word of sh.
quoted() { printf '%s\n' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"; }

expand() {
    case $1 in
    '~') printf '%s\n' "$HOME" ;;
    '~/'*) printf '%s\n' "$HOME/${1#??}" ;;
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$HOME/$1" ;;
    esac
}

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

# --- where Jupyter is installed -------------------------------------------------------------------

# Runs a command, for so many seconds at most; it reads the file ask. Nothing waits for what it may
# leave behind.
limited() {
    seconds=$1
    shift
    "$@" <"$state/ask" &
    worker=$!
    (
        sleep "$seconds"
        kill -9 "$worker"
    ) >/dev/null &
    watcher=$!
    wait "$worker"
    kill "$watcher"
}

# What an interactive login exports, in the file login.env: there people write what makes their
# programs known, and what their kernels need. Of that, this script takes what it looks for.
learn_login() {
    rm -f "$state/login.env"
    login_path=
    ask="exec sh -c 'unset $(echo $of_a_login); echo @@ENV; export -p; echo @@END'"
    case ${SHELL##*/} in
    '') return ;;
    # These take themselves for interactive only where they read the commands.
    csh | tcsh) set -- -i ;;
    *) set -- -lic "$ask" ;;
    esac
    printf '%s\n' "$ask" >"$state/ask"
    # A start-up file that begins a tmux begins none inside one.
    TERM=dumb TMUX=none limited 20 "$SHELL" "$@" >"$state/login"
    sed -n '/@@ENV$/,/^@@END$/p' "$state/login" |
        sed -e 1d -e '$d' -e '/^export SHELLOPTS=/d' -e '/^export BASHOPTS=/d' \
            -e '/^export E*UID=/d' -e '/^export PPID=/d' >"$state/login.env"
    rm -f "$state/login" "$state/ask"
    [ -s "$state/login.env" ] && (. "$state/login.env") || { rm -f "$state/login.env"; return; }
    login_path=$(login_says PATH)
    for one in MAMBA_ROOT_PREFIX MAMBA_EXE CONDA_EXE MODULEPATH MODULESHOME LMOD_PKG; do
        eval "$one=\$(login_says $one)"
    done
}

# What belongs to that one login alone; and a token, which Jupyter is to make itself.
of_a_login='SHLVL PWD OLDPWD TERM TMUX TMUX_PANE STY WINDOW COLUMNS LINES DISPLAY WAYLAND_DISPLAY
BROWSER SSH_CONNECTION SSH_CLIENT SSH_TTY SSH_AUTH_SOCK XDG_RUNTIME_DIR XDG_SESSION_ID
XDG_SESSION_TYPE XDG_SESSION_CLASS DBUS_SESSION_BUS_ADDRESS JUPYTER_TOKEN JUPYTER_PASSWORD'

# Programs that the login knows, where those of a plain command are not enough.
use_login_path() {
    PATH=${login_path:+$login_path:}$PATH
    login_path=
}

login_says() { (unset "$1"; . "$state/login.env"; eval "printf '%s' \"\${$1-}\""); }

# Folders in which conda and its kin are usually installed.
bases() {
    for command in "$CONDA_EXE" "$MAMBA_EXE" conda mamba; do
        found=$(command -v "$command") && printf '%s\n' "${found%/*/*}"
    done
    for root in "$MAMBA_ROOT_PREFIX" "$HOME/micromamba" "$HOME/.local/share/mamba"; do
        [ -z "$root" ] || printf '%s\n' "$root"
    done
    for base in miniforge3 miniconda3 anaconda3 mambaforge conda miniforge miniconda anaconda; do
        printf '%s\n' "$HOME/$base" "/opt/$base"
    done
}

# The conda environments that can be found.
prefixes() {
    cat "$HOME/.conda/environments.txt"
    bases | while IFS= read -r base; do
        [ -d "$base/conda-meta" ] && printf '%s\n' "$base"
        ls -d "$base"/envs/*
    done
    ls -d "$HOME"/.conda/envs/*
}

conda_prefix() {
    case $where in
    */*)
        prefix=$(expand "$where")
        [ -d "$prefix/bin" ]
        return ;;
    esac
    prefix=$({ [ "$where" = base ] && bases || prefixes; } | while IFS= read -r one; do
        [ -d "$one/bin" ] || continue
        if [ "$where" = base ]; then
            [ -d "$one/conda-meta" ] || continue
        else
            [ "${one##*/}" = "$where" ] || continue
        fi
        printf '%s\n' "$one"
        break
    done)
    [ -n "$prefix" ]
}

# Takes the environment that lies in the folder to start in, as uv, poetry and pixi make it, if
# Jupyter is installed there. The home folder's is one among the others.
of_the_folder() {
    inside=$(expand "$folder")
    [ "${inside%/}" != "$HOME" ] || return
    for one in .venv venv .pixi/envs/default; do
        [ -x "$inside/$one/bin/jupyter-$app" ] || continue
        prefix=$inside/$one
        kind=venv
        [ ! -d "$prefix/conda-meta" ] || kind=conda
        return 0
    done
    return 1
}

usual_folders() {
    prefixes | sed 's/$/\/bin/'
    for one in .local jupyter .venv venv env .virtualenvs/* .pixi; do
        printf '%s\n' "$HOME"/$one/bin
    done
    printf '%s\n' "$HOME/.pyenv/shims" /usr/local/bin /opt/homebrew/bin /opt/tljh/user/bin \
        /opt/jupyterhub/bin /opt/jupyter/bin
}

# Sets PATH or prefix so that run.sh finds Jupyter, or fails with where it looked.
locate() {
    prefix=
    case $kind in
    conda)
        conda_prefix || { use_login_path; conda_prefix; } && return
        prefixes | awk 'length && !seen[$0]++' | tr '\n' ':' >"$state/looked"
        fail 72 "there is no conda environment $where" ;;
    venv)
        prefix=$(expand "$where")
        [ -r "$prefix/bin/activate" ] || fail 72 "there is no $prefix/bin/activate" ;;
    module)
        ;;
    run)
        use_login_path ;;
    *)
        of_the_folder && return
        command -v "jupyter-$app" >/dev/null && return
        use_login_path
        command -v "jupyter-$app" >/dev/null && return
        usual_folders | awk 'length && !seen[$0]++' | while IFS= read -r one; do
            [ -d "$one" ] && printf '%s\n' "$one"
        done >"$state/folders"
        while IFS= read -r one; do
            [ -x "$one/jupyter-$app" ] || continue
            PATH=$one:$PATH
            return
        done <"$state/folders"
        { printf '%s:' "$PATH"; tr '\n' ':' <"$state/folders"; } >"$state/looked"
        fail 127 "jupyter-$app was not found" ;;
    esac
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

# What was found out.
keep_findings() {
    printf 'export PATH; PATH=%s\n' "$(quoted "${login_path:+$login_path:}$PATH")"
    for one in kind prefix sock mask uid; do
        eval "value=\$$one"
        printf '%s=%s\n' "$one" "$(quoted "$value")"
    done
    conda_sh=$(bases | while IFS= read -r base; do
        [ -r "$base/etc/profile.d/conda.sh" ] || continue
        printf '%s\n' "$base/etc/profile.d/conda.sh"
        break
    done)
    printf 'conda_sh=%s\n' "$(quoted "$conda_sh")"
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

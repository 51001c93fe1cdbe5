# Finds out where Jupyter is installed, and what environment it is to have; run.sh takes both from the
# files that this leaves. POSIX sh. Stands before start.sh, and in the script of a batch job, behind
# assignments: app, folder, kind and where (the environment). The account's state is in the folder
# state, and `fail STATUS WHY` ends the script.

expand() {
    case $1 in
    '~') printf '%s\n' "$HOME" ;;
    '~/'*) printf '%s\n' "$HOME/${1#??}" ;;
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$HOME/$1" ;;
    esac
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

# Becomes Jupyter, in the session that start.sh made for it. POSIX sh; bash where there is one, for
# lines that people wrote for it. Before this text stand process.sh, assignments that say what to
# run, and the function `become`, which knows the options; start.sh has left what it found out in the
# file env.

state=${0%/*}

# A way to start that was slow and was given up for another one must not start a second Jupyter.
(set -C && printf '%s %s\n' $$ "$(born $$)" >"$state/pid") 2>/dev/null || exit 75

fail() {
    printf 'trayconnect: %s\n' "$2"
    exit "$1"
}

# What `conda activate` does, without need for conda: it sets these, and runs the environment's own.
activate_conda() {
    CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=${prefix##*/} CONDA_SHLVL=1
    export CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL
    PATH=$prefix/bin:$PATH
    for script in "$prefix"/etc/conda/activate.d/*.sh; do
        [ -r "$script" ] && . "$script"
    done
}

# Makes the function `module` known, which only start-up files of interactive shells do.
learn_modules() {
    command -v module >/dev/null && return
    kept=$MODULEPATH
    shell=sh
    [ -n "${BASH_VERSION-}" ] && shell=bash
    for script in "${MODULESHOME:-/nowhere}/init/$shell" "${LMOD_PKG:-/nowhere}/init/$shell" \
        /etc/profile.d/modules.sh /etc/profile.d/lmod.sh /etc/profile.d/z00_lmod.sh \
        /usr/share/modules/init/$shell /usr/share/lmod/lmod/init/$shell; do
        [ -r "$script" ] || continue
        . "$script"
        command -v module >/dev/null || continue
        # What people have said with `module use`.
        case $MODULEPATH in *"$kept"*) ;; *) MODULEPATH=$kept:$MODULEPATH ;; esac
        return 0
    done
    return 1
}

. "$state/env"
# They may hold what nobody else may read.
rm -f "$state/env" "$state/plain.env" "$state/login.env"
unset DISPLAY BROWSER XDG_RUNTIME_DIR TMUX TMUX_PANE STY WINDOW

cd "$HOME" || fail 71 'the home folder cannot be entered'
case $folder in
'~') ;;
'~/'*) cd "./${folder#??}" || fail 71 "the folder $folder cannot be entered" ;;
/*) cd "$folder" || fail 71 "the folder $folder cannot be entered" ;;
*) cd "./$folder" || fail 71 "the folder $folder cannot be entered" ;;
esac

case $kind in
conda)
    activate_conda ;;
venv)
    . "$prefix/bin/activate" || fail 72 "$prefix/bin/activate failed" ;;
module)
    learn_modules || fail 72 'there is no command module'
    for one in $where; do
        module load "$one" || fail 72 "the module $one could not be loaded"
    done ;;
run)
    case $where in
    *conda* | *mamba*) command -v conda >/dev/null && [ -z "$conda_sh" ] || . "$conda_sh" ;;
    *module*) learn_modules ;;
    esac
    eval "$where" || fail 72 'the line of the environment failed' ;;
esac

command -v "jupyter-$app" >/dev/null || {
    printf '%s' "$PATH" >"$state/looked"
    fail 127 "jupyter-$app was not found"
}
data=${JUPYTER_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/jupyter}
printf '%s\n' "${JUPYTER_RUNTIME_DIR:-$data/runtime}" >"$state/runtime"
# What the account's own configuration may say of these gives way: Jupyter refuses a socket beside a
# port other than its usual one, or beside a file to open.
if [ -n "$sock" ]; then
    set -- "--sock=$sock" --port=8888 --ServerApp.file_to_run=
elif [ "$port" = 0 ]; then
    set -- --ServerApp.sock= --ip=127.0.0.1 --port=0
else
    set -- --ServerApp.sock= --ip=127.0.0.1 "--port=$port" --port-retries=0
fi
[ -z "$shown" ] || set -- "--ServerApp.root_dir=$PWD" "$@"
case $app in
lab) set -- --LabApp.open_browser=False "$@" ;;
notebook) set -- --JupyterNotebookApp.open_browser=False "$@" ;;
esac
[ "$uid" = 0 ] && set -- --allow-root "$@"
umask "$mask"
become --no-browser "$@"

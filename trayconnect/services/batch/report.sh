# What the scripts for a login node share: stands behind process.sh. POSIX sh. A report consists of
# lines @@KEY VALUE, each with lines of text, which begin with a blank.

indented() { sed 's/^/ /'; }

# Words and times are read as English ones, and names and lines as they are.
LC_ALL=C
export LC_ALL
unset GREP_OPTIONS POSIXLY_CORRECT QUOTING_STYLE
uid=$(id -u)
# A relative path is none, by the rules of XDG; one with a line break would end a line of a report.
case ${XDG_STATE_HOME-} in
*'
'* | [!/]*) XDG_STATE_HOME= ;;
esac
states=${XDG_STATE_HOME:-$HOME/.local/state}/trayconnect/jobs

# Runs a command of the scheduler, for so many seconds at most: one that hangs would outlive the login.
within() {
    if command -v timeout >/dev/null; then timeout -k 5 "$@"; else shift; "$@"; fi
}

# Grid Engine's commands for submit.sh, query.sh and cancel.sh. POSIX sh, behind process.sh. It knows
# users by their names only.

me=$(id -un)

# The comment of a job is a variable of its context.
orders() {
    all=$(within 15 qstat -xml -r -s prs -u "$me") || { status=$?; printf '%s\n' "$all"; return $status; }
    numbers=$(numbers_of_ours)
    [ -n "$numbers" ] || return 0
    all=$(within 15 qstat -j "$numbers" 2>&1)
    status=$?
    # One may have ended in between.
    case $all in *'do not exist'*) status=0 ;; esac
    [ $status = 0 ] || { printf '%s\n' "$all"; return $status; }
    printf '%s\n' "$all" | awk '
        $1 == "job_number:" { number = $2 }
        $1 == "context:" && sub(/^trayconnect=/, "", $2) { print number, "trayconnect 1 " $2 }'
}

# Those of this name in the list, with commas between.
numbers_of_ours() {
    printf '%s\n' "$all" | awk -v name="<full_job_name>$name</full_job_name>" '
        match($0, /<JB_job_number>[0-9]+/) { number = substr($0, RSTART + 15, RLENGTH - 15) }
        index($0, name) { printf "%s%s", comma, number; comma = "," }'
}

submit() { submit_with within 25 qsub -terse; }

# Why our jobs wait is behind the list.
jobs() {
    all=$(within 25 qstat -xml -r -s prsz -u "$me")
    status=$?
    printf '%s\n' "$all"
    numbers=$(numbers_of_ours)
    [ $status != 0 ] || [ -z "$numbers" ] || within 10 qstat -j "$numbers" |
        sed -n '/^job_number:/p; /^error reason/p; /^scheduling info:/,/^$/p' | head -n 400
    return $status
}

explain() { within 15 qacct -j "$1"; }

cancel() { within 30 qdel "$1"; }

forecast() { submit_with within 30 qsub -w v; }

# Grid Engine's commands for submit.sh, query.sh and cancel.sh. POSIX sh, behind process.sh. It knows
# users by their names only.

me=$(id -un)

# The comment of a job is a variable of its context.
orders() {
    all=$(within 15 qstat -xml -r -s prs -u "$me") || { status=$?; printf '%s\n' "$all"; return $status; }
    # A message that stands in its place may come with 0.
    case $all in *'<queue_info'*'</job_info>'*) ;; *) printf '%s\n' "$all"; return 1 ;; esac
    ending=$(ours '$2 ~ /d/' ' ')
    numbers=$(numbers_of_ours)
    [ -n "$numbers" ] || return 0
    all=$(within 15 qstat -j "$numbers" 2>&1)
    status=$?
    # One may have ended in between.
    case $all in *'do not exist'*) status=0 ;; esac
    [ $status = 0 ] || { printf '%s\n' "$all"; return $status; }
    printf '%s\n' "$all" | awk -v ending=" $ending " '
        function tell() {
            if (number) print number, index(ending, " " number " ") ? "over" : "live", comment
        }
        $1 == "job_number:" { tell(); number = $2; comment = "" }
        $1 == "context:" && match($2, /(^|,)trayconnect=[^,]*/) {
            comment = substr($2, RSTART, RLENGTH)
            sub(/^.*=/, "", comment)
            comment = "trayconnect 1 " comment
        }
        END { tell() }'
}

# The numbers of those of this name in the list that an awk condition on "NUMBER STATE" takes, with $2
# between.
ours() {
    printf '%s\n' "$all" | awk -v name="<full_job_name>$name</full_job_name>" '
        match($0, /<JB_job_number>[0-9]+/) { number = substr($0, RSTART + 15, RLENGTH - 15) }
        match($0, /<state>[A-Za-z]*/) { state = substr($0, RSTART + 7, RLENGTH - 7) }
        index($0, name) { print number, state }' |
        awk -v between="$2" "$1"' { printf "%s%s", (n++ ? between : ""), $1 }'
}

numbers_of_ours() { ours 1 ,; }

submit() { submit_with within 25 qsub -terse; }

# Where an account has thousands of jobs, those of other programs are not all needed. Why our jobs wait
# is behind the list.
jobs() {
    all=$(within 25 qstat -xml -r -s prsz -u "$me")
    status=$?
    printf '%s\n' "$all" | awk '
        /<job_list / { of_one = ""; inside = 1 }
        !inside { print; next }
        { of_one = of_one $0 "\n" }
        /<\/job_list>/ {
            if (of_one ~ /<full_job_name>trayconnect-/ || others++ < 300) printf "%s", of_one
            inside = 0
        }'
    numbers=$(numbers_of_ours)
    [ $status != 0 ] || [ -z "$numbers" ] || within 10 qstat -j "$numbers" |
        sed -n '/^job_number:/p; /^error reason/p; /^scheduling info:/,/^$/p' | head -n 400
    return $status
}

explain() { within 15 qacct -j "$1"; }

cancel() { within 30 qdel "$1"; }

forecast() { submit_with within 30 qsub -w v; }

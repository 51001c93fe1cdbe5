# Grid Engine's commands for submit.sh, query.sh and cancel.sh. POSIX sh, behind process.sh. It knows
# users by their names only.

me=$(id -un)
unset SGE_DEBUG_LEVEL
unset -f qsub qstat qdel qacct qalter timeout

# The first of these options, a basic regular expression of whole lines, in the account's or the cell's
# own file of options.
own_option() {
    for file in "$HOME/$1" "${SGE_ROOT:-/var/lib/gridengine}/${SGE_CELL:-default}/common/${1#.}"; do
        option=$(sed 's/^ *#.*//; s/[[:blank:]]-/\n-/g' "$file" | sed 's/[[:blank:]]*$//' | grep -xm 1 -e "$2")
        [ -z "$option" ] || return 0
    done 2>/dev/null
    return 1
}

hides() {
    own_option .sge_qstat '-\(q\|l\|pe\|qs\|U\|j\) .*\|-g c.*' || return 1
    echo "$file hides jobs: remove $option there"
}

# The comment of a job is a variable of its context.
orders() {
    hides && return 1
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

submit() {
    ! own_option .sge_request '-sync y.*\|-t .*\|-w [vp].*\|-verify\|-help' ||
        { echo "Unable to run job: $file makes no single job of it: remove $option there"; return 1; }
    submit_with within 25 qsub -terse
}

# Where an account has thousands of jobs, those of other programs are not all needed. Why our jobs wait
# is behind the list.
jobs() {
    hides && return 1
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

# Whether a cluster without other jobs could run each of ours that waits: it is taken all the same. And
# its place among those that wait and ask for no other queue, once it has waited for a while.
places() {
    now=$(date +%s)
    waits=
    for number in $(ours '$2 == "qw"' ' ' | cut -d ' ' -f -2); do
        can=$(within 4 qalter -w v "$number")
        case $can in
        *"$OF_LOAD"*) ;;
        *'no suitable queues'*)
            printf '%s never %s\n' "$number" "$(printf '%s\n' "$can" | sed -n 's/^Job [0-9]* //p' | head -n 1)"
            continue
            ;;
        esac
        at=$(printf '%s\n' "$all" | sed -n "/<JB_job_number>$number</,/<\/job_list>/s/.*<JB_submission_time>\([^<.]*\).*/\1/p")
        at=$(date -d "$at" +%s) && [ $((now - at)) -lt "$patience" ] && continue
        [ -n "$waits" ] || waits=$(within 8 qstat -xml -r -s p -u '*') || return
        printf '%s\n' "$waits" | awk -v number="$number" '
            match($0, /<JB_job_number>[0-9]+/) { one = substr($0, RSTART + 15, RLENGTH - 15) }
            match($0, /<state>[A-Za-z]*/) { state = substr($0, RSTART + 7, RLENGTH - 7) }
            match($0, /<hard_req_queue>[^<]*/) { queue = substr($0, RSTART + 16, RLENGTH - 16) }
            /<\/job_list>/ {
                if (state == "qw") { order[++n] = one; asks[one] = queue }
                queue = ""
            }
            END {
                if (!(number in asks)) exit
                for (i = 1; i <= n; i++) {
                    other = asks[order[i]]
                    place += !other || !asks[number] || other == asks[number]
                    if (order[i] == number) break
                }
                print number, "place", place
            }'
    done
}

# The accounting is some seconds late, and its file may be too large to be read in time. A job that was
# killed has left no status of its own.
explain() {
    folder=$states/${name##*-}/$1
    late=$(($(date +%s) + 12))
    until within 12 qacct -j "$1"; do
        [ -d "$folder" ] && [ ! -s "$folder/status" ] && [ "$(date +%s)" -lt "$late" ] || return
        sleep 1
    done
}

cancel() { within 30 qdel "$1"; }

# The verification knows no load values, such as mem_free; a look at the present load does, and proves
# only that a job can run.
OF_LOAD='requests unknown resource ('

forecast() {
    can=$(submit_with within 15 qsub -w v 2>&1)
    status=$?
    case $can in
    *"$OF_LOAD"*)
        printf '#!/bin/sh\n%s\n' "$script" | submit_with within 15 qsub -w p | grep 'found suitable' ||
            echo 'it waits for a node with less load'
        ;;
    *) printf '%s\n' "$can"; return $status ;;
    esac
}

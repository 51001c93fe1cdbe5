# Slurm's commands for submit.sh, query.sh and cancel.sh. POSIX sh, behind process.sh.

# What a login may set to change what these commands do: a filter would hide a job. Of sbatch, accounts,
# partitions and the like stay. A function that a shell exports is not the command.
# shellcheck disable=SC2046
unset $(env | sed -n 's/^\(\(SQUEUE\|SCANCEL\|SACCT\|SCONTROL\)_[A-Z0-9_]*\)=.*/\1/p') \
    SBATCH_ARRAY_INX SBATCH_BATCH SBATCH_CLUSTERS SBATCH_DEBUG SBATCH_ERROR SBATCH_EXPORT \
    SBATCH_GET_USER_ENV SBATCH_IGNORE_PBS SBATCH_INPUT SBATCH_JOB_NAME SBATCH_OPEN_MODE SBATCH_OUTPUT \
    SBATCH_QUIET SBATCH_REQUEUE SBATCH_TEST_ONLY SBATCH_TIMELIMIT SBATCH_VERBOSE SBATCH_WAIT SLURM_DEBUG \
    SLURM_EXIT_ERROR SLURM_EXIT_IMMEDIATE
unset -f sbatch squeue scancel scontrol sacct timeout
case ${SLURM_CLUSTERS-} in all | *,*) unset SLURM_CLUSTERS ;; esac
# Seconds since the epoch, whatever zone the login has.
SLURM_TIME_FORMAT=%s
export SLURM_TIME_FORMAT

# With its first line, an answer is told from a message that stands in its place: squeue, or what a site
# has put before it, may exit with 0 after an error.
orders() {
    all=$(within 15 squeue -u "$uid" -n "$name" -t all -o '%i %T %k' 2>&1)
    status=$?
    case $all in *'JOBID STATE '*) ;; *) [ $status != 0 ] || status=1 ;; esac
    [ $status != 0 ] || ! printf '%s\n' "$all" | grep -q 'error: *Invalid user' || status=1
    [ $status = 0 ] || { printf '%s\n' "$all"; return $status; }
    printf '%s\n' "$all" | awk '
        BEGIN { over = " BOOT_FAIL CANCELLED COMPLETED COMPLETING DEADLINE FAILED LAUNCH_FAILED " \
            "NODE_FAIL OUT_OF_MEMORY PREEMPTED RECONFIG_FAIL REVOKED STAGE_OUT TIMEOUT " }
        $1 ~ /^[0-9]+$/ {
            how = index(over, " " $2 " ") ? "over" : "live"
            number = $1
            sub(/^ *[^ ]+ +[^ ]+ ?/, "")
            print number, how, $0
        }'
}

submit() { submit_with within 25 sbatch --parsable; }

# Where an account has thousands of jobs, those of other programs are not all needed. The name comes
# last, and the reason before it: both may hold the separator. A task of an array, and a part of a
# heterogeneous job, has a number of its own (%A).
jobs() {
    all=$(within 25 squeue -u "$uid" -t all -o '%A|%T|%N|%B|%S|%e|%l|%V|%P|%r|%j')
    status=$?
    printf '%s\n' "$all" | awk '/\|trayconnect-[0-9a-f]+$/ || others++ < 300'
    return $status
}

# The place of each of ours that waits its turn among all that wait in its partitions, by priority. It
# costs a list of these, so it is asked of a job that has waited for a while, and does not start just
# now. A site may hide the jobs of others.
places() {
    printf '%s\n' "$all" | awk -F '|' -v name="$name" -v now="$(date +%s)" -v patience="$patience" '
        $NF == name && $2 == "PENDING" && $10 ~ /^(Priority|Resources)$/ && now - $8 >= patience &&
            ($6 !~ /^[0-9]+$/ || $6 - now > 120 || now - $6 > 120) { print $1, $9 }' |
        head -n 2 | while read -r number queue; do
            waits=$(within 8 squeue -h -t PENDING -p "$queue" -o '%A %Q %U') || continue
            printf '%s\n' "$waits" | grep -qv " $uid$" || sees_others || continue
            printf '%s\n' "$waits" | awk -v number="$number" '
                $1 ~ /^[0-9]+$/ && $2 > 0 { priority[$1] = $2 }
                END {
                    if (!(number in priority)) exit
                    for (one in priority)
                        before += priority[one] > priority[number] ||
                            (priority[one] == priority[number] && one + 0 < number + 0)
                    print number, "place", before + 1
                }'
        done
}

sees_others() {
    settings=$(within 4 scontrol show config) || return 1
    ! printf '%s\n' "$settings" | grep -q '^PrivateData.*jobs'
}

explain() {
    within 15 scontrol -o show job "$1" && return
    within 15 sacct -nPX -j "$1" -o State,ExitCode,Start,End,Submit,Partition,JobName | sed 's/^/sacct|/'
}

# The number of an array's last task is that of the array, too; parts of a heterogeneous job end together.
cancel() {
    own=$(within 8 squeue -h -t all -j "$1" -o '%A %i' | awk -v number="$1" '$1 == number { print $2; exit }')
    own=${own%+*}
    within 25 scancel "${own:-$1}"
}

forecast() { submit_with within 30 sbatch --test-only; }

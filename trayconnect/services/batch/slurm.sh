# Slurm's commands for submit.sh, query.sh and cancel.sh. POSIX sh, behind process.sh.

# What a login may set to change what these commands do: a filter would hide a job. Of sbatch, accounts,
# partitions and the like stay.
# shellcheck disable=SC2046
unset $(env | sed -n 's/^\(SQUEUE_[A-Z_]*\|SCANCEL_[A-Z_]*\|SACCT_[A-Z_]*\)=.*/\1/p') \
    SBATCH_ARRAY_INX SBATCH_CLUSTERS SBATCH_DEBUG SBATCH_GET_USER_ENV SBATCH_TEST_ONLY SBATCH_WAIT \
    SLURM_EXIT_ERROR SLURM_EXIT_IMMEDIATE
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

explain() {
    within 15 scontrol -o show job "$1" && return
    within 15 sacct -nPX -j "$1" -o State,ExitCode,Start,End,Submit,Partition,JobName | sed 's/^/sacct|/'
}

cancel() { within 30 scancel "$1"; }

forecast() { submit_with within 30 sbatch --test-only; }

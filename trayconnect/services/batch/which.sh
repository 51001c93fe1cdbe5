# Tells which schedulers this host has. POSIX sh, behind process.sh, report.sh, for each scheduler a
# function has_NAME, and an assignment: systems, their names.

has() { command -v "$1" >/dev/null; }

is_slurm() { has sbatch && has squeue; }

# PBS and Slurm's own wrappers have a qsub too; only Grid Engine has qconf.
is_gridengine() { has qsub && has qconf; }

main() {
    printf '\n@@trayconnect which 1\n'
    for one in $systems; do
        ! "has_$one" || say "has $one"
    done
    has qsub && ! has qconf && ! has sbatch && say "has pbs"
    has bsub && say "has lsf"
    has condor_submit && say "has htcondor"
    has oarsub && say "has oar"
    has flux && say "has flux"
    say "done"
}

main </dev/null 2>/dev/null

# Tells which schedulers this host has. POSIX sh, behind process.sh, report.sh, for each scheduler a
# function has_NAME, and an assignment: systems, their names.

has() { command -v "$1" >/dev/null; }

# A host of both may have the programs of the one without its settings.
is_slurm() { has sbatch && has squeue && { ! has qconf || is_set_up; }; }

is_set_up() { ! within 20 squeue -h -u "$uid" 2>&1 | grep -qi 'configuration source\|configuration file'; }

# PBS and Slurm's own wrappers have a qsub too; only Grid Engine has qconf, and a cell.
is_gridengine() {
    has qsub && has qconf && [ -e "${SGE_ROOT:-/var/lib/gridengine}/${SGE_CELL:-default}/common" ]
}

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

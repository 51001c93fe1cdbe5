#!/bin/sh
# One host of the lab, as pid 1 of its own network, UTS, IPC, PID and mount namespaces (see up.sh):
# its own /tmp, /run, /var/lib and /var/log, its own users, the site's shared /home and settings.
# Usage: host.sh NAME ROLE...    with LAB = the lab's folder
set -eu
name=$1
shift
mount --make-rprivate /
own=$LAB/hosts/$name
mkdir -p "$own/log" "$own/lib"
hostname "$name"
ip link set lo up

# The whole of it: when a program outside replaces /etc/passwd, the kernel detaches what is bound over
# that one file, here too.
case ${PYTHON:-} in
  /root/*)
    # The users need the Python that runs the tests, and cannot enter a home of root.
    mkdir -p "$own/python"
    mount --bind "$PYTHON" "$own/python"
    mount -t tmpfs -o mode=755 root /root
    mkdir -p "$PYTHON"
    mount --bind "$own/python" "$PYTHON"
    ;;
esac
mount --bind "$LAB/etc" /etc
mount --bind "$LAB/home" /home
mount --bind "$LAB" /mnt
mount --bind "$own/log" /var/log
mount --bind "$own/lib" /var/lib
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp # last: the lab itself may lie below the old /tmp
mkdir -p /run/sshd /run/lock
own=/mnt/hosts/$name # the old path may be gone now

# An own part of each cgroup v1 hierarchy: slurmd names its group after the node, in every lab alike.
for tree in memory freezer cpuset; do
  [ -d /sys/fs/cgroup/$tree ] || continue
  mkdir -p "/sys/fs/cgroup/$tree/$(basename "$LAB")-$name"
  for knob in cpuset.cpus cpuset.mems; do
    [ ! -e "/sys/fs/cgroup/$tree/$knob" ] ||
      cat "/sys/fs/cgroup/$tree/$knob" >"/sys/fs/cgroup/$tree/$(basename "$LAB")-$name/$knob"
  done
  mount --bind "/sys/fs/cgroup/$tree/$(basename "$LAB")-$name" "/sys/fs/cgroup/$tree"
done

for role in "$@"; do
  case $role in
    munge)
      install -d -o munge -g munge -m 755 /run/munge
      install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge
      setpriv --reuid munge --regid munge --clear-groups munged
      ;;
    slurmctld)
      install -d -o slurm -g slurm /var/lib/slurm/slurmctld /var/log/slurm
      slurmctld
      ;;
    slurmd)
      install -d /var/lib/slurm/slurmd /var/log/slurm
      slurmd
      ;;
    qmaster | gridengine)
      # The cell is shared (it is read by every command); the spool is the host's own.
      mkdir -p /var/lib/gridengine /run/gridengine "$own/spool"
      chown sgeadmin:sgeadmin /run/gridengine
      mount --bind /mnt/gridengine /var/lib/gridengine
      mount --bind "$own/spool" /var/spool/gridengine
      export SGE_ROOT=/var/lib/gridengine SGE_CELL=default
      # sge_execd, started when the qmaster knows its host, ends silently without this folder.
      install -d -o sgeadmin -g sgeadmin /var/spool/gridengine/execd
      if [ "$role" = qmaster ]; then
        install -d -o sgeadmin -g sgeadmin /var/spool/gridengine/qmaster \
          /var/spool/gridengine/qmaster/job_scripts /var/spool/gridengine/spooldb
        setpriv --reuid sgeadmin --regid sgeadmin --clear-groups \
          /usr/share/gridengine/scripts/init_cluster \
          $SGE_ROOT $SGE_CELL /var/spool/gridengine/spooldb sgeadmin
        echo "$name" >$SGE_ROOT/default/common/act_qmaster
        sge_qmaster
      fi
      ;;
    sshd)
      # shellcheck disable=SC2046
      /usr/sbin/sshd -f /etc/ssh/sshd_config -E /var/log/sshd.log
      ;;
  esac
done
touch /var/log/up
# bash, unlike sleep, reaps what is left to it
exec bash -c "sleep infinity & wait"

#!/bin/sh
# A cluster on one machine, as root, without systemd: login1 (with the controller), login2, c1, c2.
# Usage: LAB=folder ./up.sh        (then door.py for an SSH port on this machine; down.sh ends it)
# Nothing outside LAB and no address of this machine changes: the cluster's network is a bridge
# inside login1's network namespace.
set -eu
: "${LAB:?the folder of the lab, outside of any home}"
export LAB
here=$(cd "$(dirname "$0")" && pwd)
LOGINS=${LOGINS:-login2}
NODES=${NODES:-c1 c2}
FIRST_ROLES=${FIRST_ROLES:-munge sshd slurmctld}
NODE_ROLES=${NODE_ROLES:-munge sshd slurmd}
LOGIN_ROLES=${LOGIN_ROLES:-munge sshd}
CONF=${CONF:-$here/slurm}

mkdir -p "$LAB/etc/ssh" "$LAB/home" "$LAB/hosts"
[ ! -d /var/lib/gridengine ] || [ -d "$LAB/gridengine" ] || cp -a /var/lib/gridengine "$LAB/gridengine"
rm -rf "$LAB"/hosts/*
if [ ! -e "$LAB/etc/passwd" ]; then
  # A lock file of an account's change may vanish meanwhile.
  cp -a /etc/. "$LAB/etc/" || cp -a /etc/. "$LAB/etc/"
  rm -rf "$LAB/etc/ssh"
  mkdir "$LAB/etc/ssh"
  number=5001
  for user in alice bob; do
    echo "$user:x:$number:$number::/home/$user:/bin/bash" >>"$LAB/etc/passwd"
    echo "$user:x:$number:" >>"$LAB/etc/group"
    echo "$user:*:19000:0:99999:7:::" >>"$LAB/etc/shadow" # "!" would lock the account for sshd
    install -d -o $number -g $number -m 700 "$LAB/home/$user" "$LAB/home/$user/.ssh"
    ssh-keygen -q -t ed25519 -N '' -C "$user" -f "$LAB/home/$user/.ssh/id_ed25519"
    cp "$LAB/home/$user/.ssh/id_ed25519.pub" "$LAB/home/$user/.ssh/authorized_keys"
    chown $number:$number "$LAB/home/$user/.ssh"/*
    number=$((number + 1))
  done
  ssh-keygen -q -t ed25519 -N '' -f "$LAB/etc/ssh/ssh_host_ed25519_key"
  cat >"$LAB/etc/ssh/sshd_config" <<X
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv LANG
Subsystem sftp internal-sftp
X
  : >"$LAB/etc/ssh/ssh_config"
  mkdir -p "$LAB/etc/munge"
  dd if=/dev/urandom of="$LAB/etc/munge/munge.key" bs=128 count=1 2>/dev/null
  chown -R munge:munge "$LAB/etc/munge"
  chmod 700 "$LAB/etc/munge"
  chmod 400 "$LAB/etc/munge/munge.key"
fi
{
  echo "127.0.0.1 localhost"
  echo "10.77.0.1 login1"
  number=2
  for host in $LOGINS; do echo "10.77.0.$number $host"; number=$((number + 1)); done
  number=11
  for host in $NODES; do echo "10.77.0.$number $host"; number=$((number + 1)); done
} >"$LAB/etc/hosts"
[ ! -d "$CONF" ] || { mkdir -p "$LAB/etc/$(basename "$CONF")" && cp "$CONF"/* "$LAB/etc/$(basename "$CONF")/"; }

# host NAME ADDRESS ROLE...: its namespaces first, then its network, then its services.
host() {
  name=$1 address=$2
  shift 2
  own=$LAB/hosts/$name
  mkdir -p "$own"
  rm -f "$own/log/up" "$own/net"
  mkfifo "$own/net" # holds the host until its network is there
  setsid unshare --net --uts --ipc --pid --fork --kill-child --mount --mount-proc \
    sh -c 'read -r go <"$1"; shift; exec sh "$@"' - "$own/net" "$here/host.sh" "$name" "$@" \
    >"$own/out" 2>&1 </dev/null &
  echo $! >"$own/unshare.pid"
  tries=200
  until inner=$(cat "/proc/$!/task/$!/children" 2>/dev/null) && [ -n "$inner" ] && inner=${inner%% *} &&
    [ "$(readlink "/proc/$inner/ns/net")" != "$(readlink /proc/$$/ns/net)" ] &&
    [ "$(cat "/proc/$inner/comm")" = sh ]; do
    tries=$((tries - 1)); [ $tries -gt 0 ] || { cat "$own/out"; exit 1; }
    sleep 0.02
  done
  echo "$inner" >"$own/pid"
  if [ "$name" = login1 ]; then
    switch=$inner
    nsenter -t "$switch" -n sh -c 'ip link add switch type bridge && ip link set switch up'
    nsenter -t "$switch" -n ip addr add "$address/24" dev switch
  else
    nsenter -t "$switch" -n ip link add "to-$name" type veth peer name eth0 netns "$inner"
    nsenter -t "$switch" -n ip link set "to-$name" master switch up
    nsenter -t "$inner" -n sh -c "ip addr add $address/24 dev eth0 && ip link set eth0 up"
  fi
  echo go >"$own/net"
}

host login1 10.77.0.1 $FIRST_ROLES
number=2
for name in $LOGINS; do host "$name" 10.77.0.$number $LOGIN_ROLES; number=$((number + 1)); done
number=11
for name in $NODES; do host "$name" 10.77.0.$number $NODE_ROLES; number=$((number + 1)); done
for name in login1 $LOGINS $NODES; do
  tries=500
  until [ -e "$LAB/hosts/$name/log/up" ]; do
    tries=$((tries - 1)); [ $tries -gt 0 ] || { cat "$LAB/hosts/$name/out"; exit 1; }
    sleep 0.02
  done
done
case $FIRST_ROLES in
  *slurmctld*)
    tries=200
    until [ "$("$here/on.sh" login1 sinfo -h -N -p main -o %T | sort -u)" = idle ]; do
      tries=$((tries - 1)); [ $tries -gt 0 ] || { "$here/on.sh" login1 sinfo; exit 1; }
      sleep 0.05
    done
    ;;
esac

#!/bin/sh
# Ends the lab: killing pid 1 of a PID namespace ends all in it, and its network goes with it.
# (unshare itself ignores SIGTERM while it waits.) Usage: LAB=folder ./down.sh
set -u
: "${LAB:?}"
for file in "$LAB"/hosts/*/pid; do
  inner=$(cat "$file" 2>/dev/null) || continue
  # Only what is a lab's pid 1: its number may be somebody else's by now.
  grep -qzF -- "$(basename "$(dirname "$file")")" "/proc/$inner/cmdline" 2>/dev/null ||
    tr '\0' ' ' <"/proc/$inner/cmdline" 2>/dev/null | grep -q 'sleep infinity & wait' || continue
  kill -9 "$inner"
done
for file in "$LAB"/hosts/*/unshare.pid; do
  outer=$(cat "$file" 2>/dev/null) || continue
  tries=100
  # One that has ended may stay in the table, where pid 1 does not reap.
  while [ "$(sed 's/^[0-9]* (unshare) Z.*/Z/; s/^[0-9]* (unshare) .*/unshare/' "/proc/$outer/stat" 2>/dev/null)" = unshare ] &&
    [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.05
  done
done
for host in "$LAB"/hosts/*/; do
  for folder in /sys/fs/cgroup/*/"$(basename "$LAB")-$(basename "$host")"; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} \;
  done
done

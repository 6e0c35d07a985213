#!/usr/bin/env bash
# End the hosts that hosts_up.sh FOLDER made, with all that runs on them: hosts_down.sh FOLDER [HOST]
# With a HOST, only what runs on that one: a machine that loses its power. It does not come back.
set -uo pipefail
folder=$(realpath -m "${1:?usage: hosts_down.sh FOLDER [HOST]}")

status=0
for file in "$folder"/${2:-*}.pid; do
  [ -e "$file" ] || continue
  network=$(readlink "/proc/$(cat "$file")/ns/net") || continue # its keeper slept its hour out: it is gone
  for _ in $(seq 100); do
    found=$(find /proc/[0-9]*/ns/net -lname "net:?${network//[!0-9]/}?" 2> /dev/null | cut -d / -f 3)
    [ -z "$found" ] && break
    kill -KILL $found 2> /dev/null
    sleep 0.02
  done
  [ -z "$found" ] || { echo "hosts_down.sh: still there after SIGKILL:" $found >&2 && status=1; }
  rm -f "$file"
done
exit $status

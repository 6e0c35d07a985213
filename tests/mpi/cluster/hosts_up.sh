#!/usr/bin/env bash
# Make network namespaces into hosts h0, h1, ... on one switch: hosts_up.sh FOLDER COUNT PRIVATE
#
# Each has a network (10.77.0.10, 11, ...), a host name, shared memory, System V IPC and its own boot id, so that an
# MPI takes it for another machine, and at the path PRIVATE, a folder, a tree that no other host sees. Everything else,
# the interpreter among it, is as if installed on each. The namespaces have no names in the system: they live as long as
# a process of theirs, for which one of each sleeps, an hour at most. Nothing reaches a network outside.
# FOLDER/on_host HOST COMMAND is what `ssh HOST COMMAND` is elsewhere. hosts_down.sh FOLDER ends all of it.
set -Eeuo pipefail
folder=$(realpath -m "${1:?usage: hosts_up.sh FOLDER COUNT PRIVATE}")
count=${2:?usage: hosts_up.sh FOLDER COUNT PRIVATE}
private=$(realpath -m "${3:?usage: hosts_up.sh FOLDER COUNT PRIVATE}")
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$folder" "$private"
trap '"$(dirname "$0")/hosts_down.sh" "$folder"' ERR

# keep NAME NAMESPACES... : a sleeping process in namespaces of its own, its number in FOLDER/NAME.pid
keep() {
  local name=$1 pid
  shift
  setsid unshare "$@" sleep 3600 > /dev/null 2>&1 < /dev/null &
  pid=$!
  disown
  until [ "$(cat "/proc/$pid/comm")" = sleep ]; do
    kill -0 "$pid" # it could not have them: set -e ends this
    sleep 0.01
  done
  echo "$pid" > "$folder/$name.pid"
}
inside() { nsenter --target "$(cat "$folder/$1.pid")" --net --mount --uts --ipc "${@:2}"; }

keep switch --net
nsenter --target "$(cat "$folder/switch.pid")" --net ip link add bridge type bridge
nsenter --target "$(cat "$folder/switch.pid")" --net ip link set bridge up
echo "127.0.0.1 localhost" > "$folder/hosts"
for ((i = 0; i < count; i++)); do echo "10.77.0.$((10 + i)) h$i" >> "$folder/hosts"; done

for ((i = 0; i < count; i++)); do
  host=h$i
  keep "$host" --net --mount --uts --ipc
  cat /proc/sys/kernel/random/uuid > "$folder/$host.boot_id"
  inside "$host" hostname "$host"
  inside "$host" mount -t sysfs none /sys # MPIs look there for the networks
  inside "$host" mount -t tmpfs none /dev/shm
  inside "$host" mount --bind "$folder/hosts" /etc/hosts
  inside "$host" mount --bind "$folder/$host.boot_id" /proc/sys/kernel/random/boot_id
  inside "$host" mount -t tmpfs none "$private"
  inside "$host" ip link set lo up
  inside "$host" ip link add v0 type veth peer name "$host" netns "$(cat "$folder/switch.pid")"
  inside "$host" ip address add "10.77.0.$((10 + i))/24" dev v0
  inside "$host" ip link set v0 up
  nsenter --target "$(cat "$folder/switch.pid")" --net ip link set "$host" master bridge up
done
ln -sf "$(realpath "$(dirname "$0")/on_host")" "$folder/on_host"

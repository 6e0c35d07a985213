#!/usr/bin/env bash
# End the SLURM that slurm_up.sh FOLDER started, with its jobs and whatever they left: slurm_down.sh FOLDER
set -uo pipefail
folder=$(realpath -m "${1:?usage: slurm_down.sh FOLDER}")

# The processes of this SLURM: its daemons and the minders of its jobs by the log that they hold open (their environment
# is overwritten by the title that `ps` shows), the jobs by the environment that they were started with.
members() {
  for log in $(find /proc/[0-9]*/fd -lname "$folder/*.log" 2> /dev/null); do
    basename "$(dirname "$(dirname "$log")")"
  done
  for environment in $(grep -lzsxF "SLURM_CONF=$folder/slurm.conf" /proc/[0-9]*/environ); do
    grep -qzs '^SLURM_JOB_ID=' "$environment" && basename "$(dirname "$environment")"
  done
}

# Killed, not asked: nothing of it is to be kept, and a daemon that is asked waits for its jobs.
for _ in $(seq 100); do
  found=$(members)
  [ -z "$found" ] && exit 0
  kill -KILL $found 2> /dev/null
  sleep 0.02
done
echo "slurm_down.sh: still there after SIGKILL:" $found >&2
exit 1

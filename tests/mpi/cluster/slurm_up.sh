#!/usr/bin/env bash
# Start SLURM on this machine alone: slurm_up.sh FOLDER; then SLURM_CONF=FOLDER/slurm.conf is all that its commands need.
#
# One slurmctld, one slurmd and a munged, as root, on 127.0.0.1 and on ports that were free; any number of them side by
# side, each in its own FOLDER and with no file elsewhere. (That is why munge: SLURM's own auth/slurm has one socket
# in /run for the whole machine.) No systemd, no cgroups, no accounting; 16 processors whatever the machine has.
# slurm_down.sh FOLDER ends all of it. Written for SLURM 24.11, as Debian 13 has it.
set -euo pipefail
folder=$(realpath -m "${1:?usage: slurm_up.sh FOLDER}")
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$folder/state" "$folder/spool"
export SLURM_CONF=$folder/slurm.conf

read -r control_port node_port < <(python3 -c '
import socket
listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in listening))')

(umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
echo "CgroupPlugin=disabled" > "$folder/cgroup.conf"
cat > "$SLURM_CONF" << END
ClusterName=ashtune
FirstJobId=$((SRANDOM % 60000000 + 1)) # MPICH names its shared memory after job and step: no two SLURMs alike
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$control_port
SlurmdPort=$node_port
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits as long as a credential lives, which is two minutes unless said otherwise.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=pmi2
MailProg=/bin/true
JobRequeue=1
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
# Look at the queue every second: a job that is requeued should not wait for the next minute as well.
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
NodeName=alone NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=16 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes=alone Default=YES MaxTime=INFINITE State=UP
END

# Daemons hold no file of whoever called this, or a pipe to a test would never close.
setsid munged --foreground --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
  --pid-file="$folder/munged.pid" --seed-file="$folder/munge.seed" > "$folder/munged.log" 2>&1 < /dev/null &
for _ in $(seq 1200); do
  [ -S "$folder/munge.socket" ] && break
  sleep 0.02
done
setsid slurmctld -D -c -f "$SLURM_CONF" > "$folder/slurmctld.out" 2>&1 < /dev/null &
setsid slurmd -D -c -N alone -f "$SLURM_CONF" > "$folder/slurmd.out" 2>&1 < /dev/null &
disown -a

for _ in $(seq 1200); do
  [ "$(sinfo --noheader --format %T 2> /dev/null)" = idle ] && exit 0
  sleep 0.05
done
echo "slurm_up.sh: the node is not idle after a minute; the logs end with" >&2
tail -n 5 -- "$folder"/*.out "$folder"/*.log >&2
"$(dirname "$0")/slurm_down.sh" "$folder"
exit 1

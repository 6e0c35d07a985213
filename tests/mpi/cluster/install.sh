#!/usr/bin/env bash
# Install SLURM and iproute2 from Debian's packages where they are missing and may be installed. Never fails: the
# tests that would need what is not there are skipped and say so.
set -u
PACKAGES=(slurm-wlm munge iproute2)

missing=()
for command in munged slurmctld slurmd srun sbatch scontrol ip unshare nsenter; do
  PATH=$PATH:/usr/sbin:/sbin command -v "$command" > /dev/null || missing+=("$command")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
  echo "make test-cluster: no ${missing[*]}, and only root can install them, with apt-get: their tests are skipped"
  exit 0
fi
log=$(mktemp)
if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${PACKAGES[@]}"; } \
  > "$log" 2>&1 < /dev/null; then
  echo "make test-cluster: apt-get could not install ${PACKAGES[*]}; the tests of ${missing[*]} are skipped:"
  tail -n 3 "$log"
fi
rm -f "$log"

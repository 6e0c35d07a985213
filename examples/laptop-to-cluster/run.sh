#!/bin/sh
# Three demonstrations with one script, tune.py, in a minute:
# 1. kill -9 the study, start it again, and it continues.
# 2. The same script runs on the ranks of an MPI job.
# 3. A worker joins a study that runs, and another worker dies.
#
#     pip install '.[mpich,cluster]'       # in the root of the repository
#     sh examples/laptop-to-cluster/run.sh
set -eu
script=$(cd "$(dirname "$0")" && pwd)/tune.py
studies=$(mktemp -d)
trap 'rm -rf "$studies"' EXIT
cd "$studies"

heading() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}

# Print a command and run it.
show() {
    printf '$ %s\n' "$*"
    "$@"
}

# Print the number of results that a study has so far.
results_of() {
    ashtune report "$1" --json 2>/dev/null | python -c 'import json, sys
text = sys.stdin.read()
print(json.loads(text)["jobs"] if text else 0)'
}

wait_for_results() {
    until [ "$(results_of "$1")" -ge "$2" ]; do sleep 0.2; done
}

heading "1. kill -9, and continue"
echo "\$ python tune.py killed &"
python "$script" killed 2>/dev/null &
study=$!
wait_for_results killed 20
echo "\$ kill -9 $study                           # after $(results_of killed) results"
kill -9 "$study"
wait "$study" 2>/dev/null || true
show python "$script" killed

heading "2. The same script on three MPI ranks: rank 0 runs the study, two train"
if command -v mpiexec >/dev/null && python -c 'import mpi4py' 2>/dev/null; then
    show mpiexec -n 3 python "$script" ranks
else
    echo "mpiexec and mpi4py are not both installed; see the head of run.sh"
fi

heading "3. Workers join a study that runs"
if python -c 'import zmq' 2>/dev/null; then
    echo "\$ python tune.py joined cluster &"
    python "$script" joined cluster &
    study=$!
    echo "\$ ashtune worker joined --wait &      # the first worker"
    ashtune worker joined --wait 2>/dev/null &
    first=$!
    wait_for_results joined 10
    echo "\$ ashtune worker joined --wait &      # the second worker"
    ashtune worker joined --wait 2>/dev/null &
    wait_for_results joined 30
    echo "\$ kill -9 $first                          # the first worker; the second continues its trial"
    kill -9 "$first"
    wait "$study"
    wait
else
    echo "pyzmq is not installed; see the head of run.sh"
fi

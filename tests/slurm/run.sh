#!/usr/bin/env bash
# Submits examples/slurm/array.sbatch to a real Slurm: a controller and a node on this machine, started here and stopped at
# the end. The rows of its tasks must be those of one plain `pkdgan score`.
#
#     tests/slurm/run.sh [PKDGAN]
#
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge. All files and ports are its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
pkdgan=$(realpath "${1:-target/release/pkdgan}")
PATH=$PATH:/usr/sbin
for program in slurmctld slurmd munged sbatch; do
    command -v $program >/dev/null || {
        echo "$program is missing: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge" >&2
        exit 1
    }
done

place=$(mktemp -d)
chmod 711 "$place"
started=()
stop() {
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$place"
}
trap stop EXIT

# Who a message comes from, by a key of this test.
mkdir -m 711 "$place/munge"
head -c 1024 /dev/urandom >"$place/munge/key"
chmod 400 "$place/munge/key"
munged --foreground --force --key-file "$place/munge/key" --socket "$place/munge/socket" \
    --pid-file "$place/munge/pid" --log-file "$place/munge/log" --seed-file "$place/munge/seed" 2>"$place/munged.log" &
started+=($!)

export SLURM_CONF=$place/slurm.conf
host=$(hostname -s)
cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$((20000 + $$ % 10000))
SlurmdPort=$((30000 + $$ % 10000))
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$place/munge/socket
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
mkdir "$place/state" "$place/spool"
slurmctld -D >"$place/slurmctld.log" 2>&1 &
started+=($!)
slurmd -D -N "$host" >"$place/slurmd.log" 2>&1 &
started+=($!)
for ((second = 0; ; second++)); do
    [ "$(sinfo --noheader --format %t 2>/dev/null)" = idle ] && break
    if [ $second = 60 ]; then
        sinfo --long --Node || true
        tail -n 30 "$place"/*.log >&2
        echo "the node of Slurm is not idle after a minute" >&2
        exit 1
    fi
    sleep 1
done

# Sixty pictures, by a shell alone.
mkdir "$place/pictures"
for ((i = 0; i < 60; i++)); do
    { printf 'P5 28 28 255\n' && head -c 784 /dev/zero | tr '\0' "\\$(printf %o $((i * 4)))"; } >"$place/pictures/$i.pgm"
done
PKDGAN=$pkdgan sbatch --wait --array=1-4 --cpus-per-task=1 --mem=0 --chdir="$place" --output="$place/%a.log" \
    examples/slurm/array.sbatch "$PWD/web/model.safetensors" "$place/pictures" "$place/rows" || {
    tail -n 5 "$place"/[0-9]*.log >&2
    exit 1
}
"$pkdgan" score web/model.safetensors "$place/pictures" --path cpu --quiet --output "$place/expected.csv"
ls "$place"/rows/[1-4].csv | wc -l | grep -qx 4
diff <(tail -n +2 -q "$place"/rows/*.csv | sort) <(tail -n +2 "$place/expected.csv" | sort)
echo "four tasks of Slurm $(sinfo --version | cut -d ' ' -f 2) have the $(tail -n +2 "$place/expected.csv" | wc -l) rows of one process"

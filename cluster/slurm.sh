#!/usr/bin/env bash
# Run a search on whole Slurm nodes, with its own Ray cluster for the time of the job:
#
#   sbatch --nodes=2 cluster/slurm.sh --space svhn_150k --gpus-per-trial 0.25
#   sbatch --nodes=1 --array=0-4 cluster/slurm.sh --space digits      (one search per seed)
#
# A requeued or resubmitted job resumes its search. Edit three things:
#SBATCH --partition=gpu --gpus-per-node=1 --cpus-per-task=8 --time=08:00:00
#      (1. partition and time: the line above)
#SBATCH --job-name=tunery --exclusive --ntasks-per-node=1 --requeue --open-mode=append
environment=$HOME/tunery/.venv                              # 2. where Tunery is installed
export TUNERY_STORAGE=/shared/tunery MLFLOW_TRACKING_URI=   # 3. storage that all nodes see, and
                                                            #    MLflow (none: a file in there)
set -euo pipefail

# shellcheck disable=SC1091
source "$environment/bin/activate"
[ -n "$MLFLOW_TRACKING_URI" ] || unset MLFLOW_TRACKING_URI
words=("$@" --address auto --resume)
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    export TUNERY_STORAGE=$TUNERY_STORAGE/seed-$SLURM_ARRAY_TASK_ID
    words+=(--seed "$SLURM_ARRAY_TASK_ID")
fi

# Every node reads the token from the home folder. All jobs of a user have the same token, so each
# job has its own port.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
(umask 077 && ray get-auth-token --generate > /dev/null)
read -r head < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=$((20000 + SLURM_JOB_ID % 20000))
gpus=()
[ -n "${SLURM_GPUS_ON_NODE:-}" ] && gpus=(--num-gpus "$SLURM_GPUS_ON_NODE")
exec srun --kill-on-bad-exit=0 ray symmetric-run --address "$head:$port" \
    --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "${SLURM_CPUS_PER_TASK:-1}" "${gpus[@]}" \
    --dashboard-host=127.0.0.1 -- python -m trainables.tune "${words[@]}"

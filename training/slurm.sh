#!/bin/bash
# All stages on four nodes with four GPUs each. Set account, partition and modules as your cluster wants them.
#   sbatch training/slurm.sh training/configs/paper.yaml data.pictures=bioscan \
#     data.metadata=bioscan/bioscan5m/metadata/csv/BIOSCAN_5M_Insect_Dataset_metadata.csv
# The run's folder must lie on a disk that every node sees. A job that was cut short (time limit, lost node) goes
# on from its last checkpoint when it is submitted again.
#SBATCH --job-name=g2pdiffusion
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail

CONFIG=$1
shift
GPUS=4
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
PORT=$((20000 + SLURM_JOB_ID % 10000))
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / GPUS))

# One launcher a node, which starts a process a GPU. $SLURM_PROCID is the node's number, hence the quotes.
srun --kill-on-bad-exit=1 bash -c '
  accelerate launch --config_file training/configs/accelerate/ddp.yaml \
    --num_machines "$SLURM_NNODES" --machine_rank "$SLURM_PROCID" \
    --num_processes $((SLURM_NNODES * '"$GPUS"')) \
    --main_process_ip '"$HEAD"' --main_process_port '"$PORT"' \
    -m training.run --config "$@"' launch "$CONFIG" "$@"

#!/bin/bash
# Several machines under SLURM, one task a machine:
#     sbatch --nodes 2 --gpus-per-node 8 examples/accelerate_configs/slurm.sh --recipe best --data_dir clouds
# Arguments go to examples/run_pretrain.py. SLURM signals 120 s before the limit, so that the run saves its step;
# submit the same command again to resume.
#SBATCH --job-name=jointmae
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --output=%x-%j.log
set -euo pipefail

export NUM_MACHINES=$SLURM_NNODES
export NUM_PROCESSES=$((SLURM_NNODES * ${SLURM_GPUS_ON_NODE:?submit with --gpus-per-node}))
# sed reads every name: `head` would leave early, and `pipefail` would then end the job now and then.
MAIN_PROCESS_IP=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
MAIN_PROCESS_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MAIN_PROCESS_IP MAIN_PROCESS_PORT

# Single quotes: each task expands its own SLURM_NODEID. `exec` lets signals reach the launcher.
srun bash -c 'exec accelerate launch \
    --config_file examples/accelerate_configs/multi_node.yaml \
    --num_machines "$NUM_MACHINES" --num_processes "$NUM_PROCESSES" --machine_rank "$SLURM_NODEID" \
    --main_process_ip "$MAIN_PROCESS_IP" --main_process_port "$MAIN_PROCESS_PORT" \
    examples/run_pretrain.py --resume_from_checkpoint True "$@"' run_pretrain "$@"

#!/bin/bash
#SBATCH --ntasks=8 --nodes=2
#SBATCH --gpus-per-task=1
#SBATCH --constraint="a100&hbm80g"
#SBATCH --time=04:00:00
srun ./namd3 +p7 stmv.namd

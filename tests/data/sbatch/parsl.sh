#!/bin/bash

#SBATCH --job-name=parsl.slurm.1764371000.12
#SBATCH --output=/home/ada/runinfo/000/submit_scripts/block-0.submit.stdout
#SBATCH --error=/home/ada/runinfo/000/submit_scripts/block-0.submit.stderr
#SBATCH --nodes=1
#SBATCH --time=10
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --partition=debug
#SBATCH --cpus-per-task=8
module load python
export PARSL_CORES=8
process_worker_pool.py -a 10.0.0.1

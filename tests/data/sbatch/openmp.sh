#!/bin/bash
#SBATCH -J omp
#SBATCH -c 16
#SBATCH --mem=32G
#SBATCH -t 90
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
./stream

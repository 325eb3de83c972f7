#!/bin/bash
#SBATCH -a 0-30:10,45
#SBATCH -o res-%4a.txt
Rscript fit.R $SLURM_ARRAY_TASK_ID

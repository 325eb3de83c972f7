#!/bin/bash
#SBATCH -J nf-ALIGN_(sample_1)
#SBATCH -o /scratch/work/3f/9a01bc/.command.log
#SBATCH --no-requeue
#SBATCH --signal B:USR2@30
#SBATCH -c 4
#SBATCH -t 02:00:00
#SBATCH --mem 8192M
#SBATCH -p short
NXF_CHDIR=/scratch/work/3f/9a01bc
bash .command.run

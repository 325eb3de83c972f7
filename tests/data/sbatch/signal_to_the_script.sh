#!/bin/bash
#SBATCH --time=01:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=run.log
trap 'touch CHECKPOINT' USR1
./simulate & wait

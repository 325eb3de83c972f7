#!/bin/bash
#SBATCH --time=60
#SBATCH --signal=USR2@90
srun ./simulate

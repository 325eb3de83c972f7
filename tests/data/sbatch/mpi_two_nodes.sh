#!/bin/bash -l
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=64
#SBATCH --cpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --partition=compute
#SBATCH --account=m1234
#SBATCH --qos=regular

module purge
module load openmpi/4.1.6
srun ./wrf.exe

#!/usr/bin/env python3
#SBATCH --ntasks=1
#SBATCH --time=UNLIMITED
import os
print(os.environ["SLURM_JOB_ID"])

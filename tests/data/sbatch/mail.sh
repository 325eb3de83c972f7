#!/bin/bash
#SBATCH --mail-type=BEGIN,END,FAIL
#SBATCH --mail-user=jane.doe@example.edu
#SBATCH --time=1-0
matlab -batch "run('sim.m')"

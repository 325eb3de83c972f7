#!/bin/bash
#SBATCH --ntasks=4
#SBATCH --gres=gpu:1
srun ./a.out

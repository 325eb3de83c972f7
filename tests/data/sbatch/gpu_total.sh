#!/bin/sh
#SBATCH -G v100:2
#SBATCH -t 30:00
nvidia-smi

#!/usr/bin/env bash
#SBATCH --job-name=jupyter
#SBATCH --partition=interactive
#SBATCH --time=08:00:00
#SBATCH --mem=16g
#SBATCH --cpus-per-task=4
#SBATCH --output=jupyter-%J.log
source ~/miniforge3/etc/profile.d/conda.sh
conda activate lab
jupyter lab --no-browser --port=8888

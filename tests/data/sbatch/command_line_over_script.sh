#!/bin/bash
#SBATCH --mem=16G
#SBATCH --time=10:00:00
#SBATCH --job-name=from-the-script
./a.out "$@"

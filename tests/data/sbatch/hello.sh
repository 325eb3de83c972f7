#!/bin/bash
#SBATCH --job-name=hello
#SBATCH --output=hello_%j.out
#SBATCH --ntasks=1
#SBATCH --time=00:05:00

echo "Hello from $(hostname)"

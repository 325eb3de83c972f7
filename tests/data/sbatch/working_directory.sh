#!/bin/bash
#SBATCH -D /scratch/project/run7
#SBATCH -o out.txt
./a.out

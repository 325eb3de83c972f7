#!/bin/bash
#SBATCH -N 4
#SBATCH -n 16
#SBATCH -c 8
#SBATCH -t 0-06:00
#SBATCH -p batch
#SBATCH -o %x.%j.out
#SBATCH -e %x.%j.err
srun --cpu-bind=cores ./lammps -in in.melt

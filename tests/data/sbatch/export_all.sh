#!/bin/bash
#SBATCH --export=ALL,OMP_NUM_THREADS=8
./run

#!/bin/bash

# A comment, and an empty line, end nothing.
#SBATCH --ntasks=2
##SBATCH --ntasks=4
# SBATCH --ntasks=8
cd $HOME
#SBATCH --time=01:00:00
make

#!/bin/bash
#SBATCH -n 8
#SBATCH -c 2
#SBATCH --mem-per-cpu=3900
gaussian < water.com

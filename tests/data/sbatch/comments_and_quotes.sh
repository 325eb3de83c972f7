#!/bin/bash
#SBATCH --job-name="two words" # the name
#SBATCH --comment='for the paper'   --wckey=fig3
#SBATCH -n 1 # one task
true

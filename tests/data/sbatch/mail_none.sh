#!/bin/bash
#SBATCH --mail-type=NONE
true

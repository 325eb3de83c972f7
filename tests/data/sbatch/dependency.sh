#!/bin/bash
#SBATCH --dependency=afterok:1201:1202,afterany:3000000012
python merge.py

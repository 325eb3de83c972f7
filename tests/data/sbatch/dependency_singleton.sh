#!/bin/bash
#SBATCH --job-name=nightly
#SBATCH --dependency=singleton
./backup.sh

#!/bin/bash
#SBATCH --export="SEED=7,MODE='fast,loose',LONG_NAME,NOT_SET_HERE"
./run --seed $SEED --mode "$MODE"

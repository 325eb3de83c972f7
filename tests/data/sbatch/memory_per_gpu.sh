#!/bin/bash
#SBATCH --gpus=2
#SBATCH --mem-per-gpu=60G
python infer.py

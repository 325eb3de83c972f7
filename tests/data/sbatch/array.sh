#!/bin/bash
#SBATCH --array=1-100%10
#SBATCH --job-name=blast
#SBATCH --output=logs/blast_%A_%a.out
#SBATCH --error=logs/blast_%A_%a.err
#SBATCH --mem=4G
#SBATCH --time=02:00:00

INPUT=$(sed -n "${SLURM_ARRAY_TASK_ID}p" inputs.txt)
blastn -query "$INPUT" -db nt -out "${INPUT%.fa}.tsv"

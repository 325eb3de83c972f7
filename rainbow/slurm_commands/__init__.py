"""What Slurm's commands take and print, for `rainbow sbatch`, `squeue`, `scancel` and `sacct` (docs/sbatch.md)."""

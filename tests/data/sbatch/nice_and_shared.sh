#!/bin/bash
#SBATCH --nice=50 -s -v
#SBATCH --reservation=maint --test-only
true

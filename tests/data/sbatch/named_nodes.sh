#!/bin/bash
#SBATCH --nodelist=node[01-04]
srun hostname

#!/bin/bash
#SBATCH --job-nmae=oops
true

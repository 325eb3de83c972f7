#!/bin/bash
#SBATCH -d afternotok:3000000012_4
./tell-me

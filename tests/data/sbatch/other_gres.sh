#!/bin/bash
#SBATCH --gres=gpu:1,nvme:100
true

#!/bin/bash
#SBATCH -L ansys@licserver:4
fluent 3ddp -g -i case.jou

#SBATCH --ntasks=1
echo hi

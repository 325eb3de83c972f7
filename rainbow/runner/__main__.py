"""python -I -S __main__.py KEY NOTES JOB: NOTES and JOB are handles of the two folders, standard input says the job."""

import importlib
import sys
from pathlib import Path

# -I and -S leave out whatever else is installed, and make the start quick. Last: nothing may hide the standard library.
sys.path.append(str(Path(__file__).parents[2]))
importlib.import_module("rainbow.runner.supervisor").main(int(sys.argv[2]), int(sys.argv[3]))

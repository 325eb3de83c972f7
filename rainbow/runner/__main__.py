"""python -I -S __main__.py NO_KEY: the server that forks runners, on a socket that is its standard input."""

import importlib
import socket
import sys
from pathlib import Path

# -I and -S leave out whatever else is installed, and make the start quick. Last: nothing may hide the standard library.
sys.path.append(str(Path(__file__).parents[2]))
importlib.import_module("rainbow.runner.fork_server").serve(socket.socket(fileno=0))

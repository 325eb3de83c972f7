"""Set when this process is told to stop, so that waiting calls return."""

import threading

STOPPING = threading.Event()

"""Whether this process was told to stop."""

import threading

STOPPING = threading.Event()

"""How gunicorn serves the web door: its configuration file, which `manage.py serve` names.

https://gunicorn.org/reference/settings/
"""

import signal
from types import FrameType
from typing import Any

from jobs.rest.stopping import STOPPING
from rainbow_site.collector import spare_the_collector

wsgi_app = "rainbow_site.wsgi"
worker_class = "gthread"
# A REST call that waits for jobs holds one of these (jobs/rest/waiting.py).
threads = 8
graceful_timeout = 30
# The longest that gunicorn takes: a query with many labels is long.
limit_request_line = 8190
# It would lie in the home folder, and nothing here uses it.
control_socket_disable = True
loglevel = "warning"


def post_worker_init(worker: Any) -> None:
    spare_the_collector()
    _stop_waiting_calls_first()


def _stop_waiting_calls_first() -> None:
    """Lets the calls that wait for jobs answer as soon as this worker is told to stop."""
    gunicorns = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        STOPPING.set()
        if callable(gunicorns):
            gunicorns(number, frame)

    signal.signal(signal.SIGTERM, stop)

"""Submitters in a process of their own: threads of the published client, each with one call after the other.

A call that fails is sent again under its key until it is acknowledged. The journal has a line for each call:
`BEGAN ENDED SUBMITTER JOB`, in monotonic seconds, with why in the place of the job of a failed one.
"""

import os
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.records import JobSpec
from rainbow.text import on_one_line

# Longer than a call usually takes.
PACE_SECONDS = 0.4


class Submitter:
    def __init__(self, client: Client, number: int, journal: int) -> None:
        self._client, self._number, self._journal = client, number, journal

    def run(self) -> None:
        while True:
            spec = JobSpec(command="true", idempotency_key=uuid4().hex)
            while not self._submit(spec):
                pass

    def _submit(self, spec: JobSpec) -> bool:
        began = time.monotonic()
        try:
            result = str(self._client.submit_job(spec).jobid)
        except RainbowError as error:
            result = f"{error.code} {on_one_line(str(error))} request_id={error.request_id}"
        ended = time.monotonic()
        os.write(self._journal, f"{began:.4f} {ended:.4f} {self._number} {result}\n".encode())
        time.sleep(max(0.0, PACE_SECONDS - (ended - began)))
        return result.isdecimal()


def main() -> None:
    address, pool, token, journal, first, count = sys.argv[1:]
    file = os.open(Path(journal), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for number in range(int(first), int(first) + int(count)):
        submitter = Submitter(Client(address, cluster=pool, token=token), number, file)
        threading.Thread(target=submitter.run, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()

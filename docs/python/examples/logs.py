import sys

import rainbow

with rainbow.Client.from_settings() as client:
    spec = rainbow.JobSpec(command="for step in 1 2 3; do echo step $step; done; echo done >&2")
    jobid = client.submit_job(spec).jobid
    for job in client.watch_jobs([jobid]):
        if job.started_at is not None:
            break
    for part in client.read_output(jobid, follow=True):
        sys.stdout.write(part.data.decode())
    for part in client.read_output(jobid, stderr=True):
        sys.stdout.write(part.data.decode())

import rainbow

with rainbow.Client.from_settings() as client:
    jobid = client.submit_job(rainbow.JobSpec(command="exit 3", name="doomed")).jobid
    for job in client.watch_jobs([jobid]):
        if job.finished_at is not None:
            print(job.name, job.state, job.exit_code)

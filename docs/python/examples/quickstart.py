import rainbow

with rainbow.Client.from_settings() as client:
    jobid = client.submit_job(rainbow.JobSpec(command="echo hello")).jobid
    for job in client.watch_jobs([jobid]):
        last = job.state
    print(last, client.get_jobs([jobid]).jobs[0].output, end="")

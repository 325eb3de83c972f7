import rainbow

specs = (rainbow.JobSpec(command=f"echo $(({number} * {number}))") for number in range(20))
with rainbow.Client.from_settings() as client:
    results = list(client.submit_stream(specs))
    refused = [result.error for result in results if result.error]
    jobids = [result.jobid for result in results if not result.error]
    for _ in client.watch_jobs(jobids):
        pass
    outputs = {job.id: job.output for job in client.get_jobs(jobids).jobs}
    print(len(refused), sum(int(outputs[jobid]) for jobid in jobids))

import rainbow

with rainbow.Client.from_settings() as client:
    specs = [rainbow.JobSpec(command=f"test {number} -ne 2") for number in range(5)]
    wish = rainbow.GroupWish(name="study", at_once=2)
    group = client.submit_jobs(specs, group=wish).group
    for found in client.watch_group(group):
        last = found
    print({str(state): number for state, number in sorted(last.counts.items())})
    print([job.command for job in last.failures])

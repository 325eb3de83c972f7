import time

import rainbow

with rainbow.Client.from_settings() as client:
    specs = [rainbow.JobSpec(command=f"test {number} -ne 2") for number in range(5)]
    wish = rainbow.GroupWish(name="study", at_once=2)
    group = client.submit_jobs(specs, group=wish).group
    while (found := client.get_group(group)).finished_at is None:
        time.sleep(1)
    print({str(state): number for state, number in sorted(found.counts.items())})
    print([job.command for job in found.failures])

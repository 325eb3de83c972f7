import asyncio

import rainbow


async def main() -> None:
    async with rainbow.AsyncClient.from_settings() as client:
        specs = [rainbow.JobSpec(command=f"echo {number}") for number in range(3)]
        submissions = await asyncio.gather(*(client.submit_job(spec) for spec in specs))
        jobids = [submission.jobid for submission in submissions]
        async for job in client.watch_jobs(jobids):
            if job.state == rainbow.JobState.FAILED:
                print(f"{job.id} failed: {job.reason}")
        found = await client.get_jobs(jobids)
        print(sorted(job.output.strip() for job in found.jobs))


asyncio.run(main())

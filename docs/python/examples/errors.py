import rainbow
from rainbow.errors import InvalidArgument, NotFound

with rainbow.Client.from_settings(timeout_seconds=60) as client:
    try:
        client.submit_job(rainbow.JobSpec(command="true", nodes=0))
    except InvalidArgument as error:
        print(error.field, error.code)
    try:
        client.get_group(2_000_000_000)
    except NotFound as error:
        print(error.code)

    # One transaction with one key: whether or not the first answer was lost, there is one job.
    spec = rainbow.JobSpec(command="exit 75", idempotency_key="study-1", retry_most=2, retry_on=("exit_code:75",))
    first = client.submit_job(spec)
    again = client.submit_job(spec)
    print(first.jobid == again.jobid, again.duplicate)
    # It is tried again after 30 seconds, and after 60 more: this takes a minute and a half.
    for job in client.watch_jobs([first.jobid]):
        last = job
    print(last.state, last.attempt)

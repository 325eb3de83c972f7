import rainbow

with rainbow.RainbowExecutor.from_settings() as executor:
    greeting = executor.submit_command("echo $GREETING", environment={"GREETING": "hello"})
    failing = executor.submit_command(["sh", "-c", "echo no solution; exit 75"], time_limit_seconds=60)
    print(greeting.result().output, end="")
    try:
        failing.result()
    except rainbow.JobFailed as failed:
        print(failed.job.exit_code, failed.job.output, end="")

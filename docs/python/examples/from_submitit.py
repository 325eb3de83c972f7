import rainbow


def largest_prime_below(limit: int) -> int:
    return next(n for n in range(limit - 1, 1, -1) if all(n % d for d in range(2, n)))


# "partition": "debug" besides, at a cluster with Slurm.
job = {"time_limit_seconds": 600, "cores_per_task": 2}
with rainbow.RainbowExecutor.from_settings(job=job) as executor:
    future = executor.submit(largest_prime_below, 1000)
    print(future.result())
    futures = [executor.submit(largest_prime_below, limit) for limit in (10, 100, 1000)]
    print([future.result() for future in futures])

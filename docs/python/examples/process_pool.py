from concurrent.futures import ProcessPoolExecutor, as_completed


def largest_prime_below(limit: int) -> int:
    return next(n for n in range(limit - 1, 1, -1) if all(n % d for d in range(2, n)))


if __name__ == "__main__":
    with ProcessPoolExecutor() as executor:
        print(list(executor.map(largest_prime_below, [10, 100, 1000])))
        futures = [executor.submit(largest_prime_below, limit) for limit in (20, 200)]
        print(sorted(future.result() for future in as_completed(futures)))

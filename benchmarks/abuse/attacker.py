"""python -m benchmarks.abuse.attacker CASE: attacks the target that standard input names, until it is ended."""

import json
import sys

import uvloop

from benchmarks.abuse.attacks import Target
from benchmarks.abuse.cases import CASES


async def main(case: str, target: Target) -> None:
    attack = next(item.attack for item in CASES if item.name == case)
    print("begun", flush=True)
    await attack(target)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Target(**json.loads(sys.stdin.readline()))))

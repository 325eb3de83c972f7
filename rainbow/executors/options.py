"""What further words for a scheduler's submission, such as `--queue=batch`, mean for the rest of its executor."""

import argparse
from collections.abc import Sequence


def value_of(options: Sequence[str], short: str, long: str) -> str:
    """The last value that an option has, in any of the ways of writing it; empty if it is not there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(short, long, dest="value", default="")
    try:
        return str(parser.parse_known_args(options)[0].value)
    except argparse.ArgumentError:
        # The option comes last and lacks its value: the scheduler says so of every job.
        return ""

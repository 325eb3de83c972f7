"""What a site's submission options mean for the rest of its executor."""

import argparse
from collections.abc import Sequence


def value_of(options: Sequence[str], short: str, long: str) -> str:
    """The last value of an option, however it is written; empty where it is missing."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(short, long, dest="value", default="")
    try:
        return str(parser.parse_known_args(options)[0].value)
    except argparse.ArgumentError:
        # The option comes last and has no value: the scheduler refuses every job for it.
        return ""

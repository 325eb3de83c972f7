"""What the servers tell Python's garbage collector."""

import gc


def spare_the_collector() -> None:
    """What is there by now stays: looking through it for garbage stopped every call for 30 ms, again and again."""
    gc.collect()
    gc.freeze()

"""What runs outside the rainbow server: the client, the command line, and what an agent needs.

What a program uses of the client may be taken from here. It is loaded when it is first used: `import rainbow` alone
loads neither gRPC nor anything else. rainbow/__init__.pyi has the types.
"""

from importlib import import_module

__version__ = "0.2.0.dev0"

_HOMES = {
    "AsyncClient": "rainbow.aio.client",
    "Client": "rainbow.client",
    "EndCause": "rainbow.states",
    "GroupWish": "rainbow.records",
    "Job": "rainbow.records",
    "JobFailed": "rainbow.futures.failures",
    "JobSpec": "rainbow.specs",
    "JobState": "rainbow.states",
    "RainbowError": "rainbow.errors",
    "RainbowExecutor": "rainbow.futures.executor",
    "RemoteError": "rainbow.futures.failures",
    "Retries": "rainbow.retries",
}
__all__ = ("__version__", *_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

from rainbow.aio.client import AsyncClient as AsyncClient
from rainbow.client import Client as Client
from rainbow.errors import RainbowError as RainbowError
from rainbow.futures.executor import RainbowExecutor as RainbowExecutor
from rainbow.futures.failures import JobFailed as JobFailed
from rainbow.futures.failures import RemoteError as RemoteError
from rainbow.records import GroupWish as GroupWish
from rainbow.records import Job as Job
from rainbow.retries import Retries as Retries
from rainbow.specs import JobSpec as JobSpec
from rainbow.states import EndCause as EndCause
from rainbow.states import JobState as JobState

__version__: str

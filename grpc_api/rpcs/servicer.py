"""All RPCs of the proto, each by the family that answers it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from clusters.callers import Claim
from clusters.services.authenticate import admit
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.connectivity import ConnectivityRpcs
from grpc_api.rpcs.credentials import CredentialRpcs
from grpc_api.rpcs.jobs import JobRpcs
from grpc_api.rpcs.queue import QueueRpcs
from grpc_api.rpcs.registration import RegistrationRpcs
from grpc_api.rpcs.reporting import ReportingRpcs
from grpc_api.rpcs.server_state import ServerState, utc_now
from grpc_api.rpcs.submission import SubmissionRpcs
from grpc_api.runtime.last_seen import LastSeenNotes
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups


class RainbowServicer:
    """One method for each RPC, of the same name. `batch` is the most calls of one kind that share a transaction."""

    def __init__(
        self,
        *,
        pools: ThreadPools,
        wakeups: Wakeups,
        registration_secret: str,
        batch: int,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        server = ServerState(pools=pools, wakeups=wakeups, last_seen=LastSeenNotes(pools), clock=clock)
        self._server = server

        registration = RegistrationRpcs(server, registration_secret=registration_secret)
        self.Register = registration.Register

        submission = SubmissionRpcs(server, batch=batch)
        self.SubmitJob = submission.SubmitJob
        self.SubmitJobs = submission.SubmitJobs
        self.SubmitJobStream = submission.SubmitJobStream

        queue = QueueRpcs(server, batch=batch)
        self.RequestJobs = queue.RequestJobs
        self.AcceptJobs = queue.AcceptJobs

        self.ReportJobs = ReportingRpcs(server, batch=batch).ReportJobs

        jobs = JobRpcs(server)
        self.GetJobs = jobs.GetJobs
        self.ListJobs = jobs.ListJobs
        self.WatchJobs = jobs.WatchJobs
        self.CancelJobs = jobs.CancelJobs
        self.SummarizeJobs = jobs.SummarizeJobs

        credentials = CredentialRpcs(server)
        self.RotateCredential = credentials.RotateCredential
        self.ResumeCluster = credentials.ResumeCluster

        connectivity = ConnectivityRpcs(wakeups)
        self.Serial = connectivity.Serial
        self.Stream = connectivity.Stream

    async def admit(self, call: Call) -> None:
        """Raises Unauthenticated unless the call's bearer is a credential: for requests that are costly to decode."""
        claim = Claim(value=call.bearer)
        await self._server.pools.read(partial(admit, claim, now=self._server.clock()), caller=claim.value)

"""The synchronous client of a rainbow server."""

from rainbow.client_clusters import ClusterCalls
from rainbow.client_files import FileCalls
from rainbow.client_groups import GroupCalls
from rainbow.client_jobs import JobCalls
from rainbow.client_people import PeopleCalls
from rainbow.client_queue import QueueCalls
from rainbow.client_registration import RegistrationCalls
from rainbow.client_submission import SubmissionCalls


class Client(
    SubmissionCalls, QueueCalls, JobCalls, FileCalls, GroupCalls, ClusterCalls, PeopleCalls, RegistrationCalls
):
    """Speaks to one rainbow server on behalf of one cluster. Threads may share it; processes may not.

    It has a connection of its own, on which the server takes up to 100 calls at a time: a program that waits for more
    opens several clients.

    Every method raises a `RainbowError`. A call that finds no server is repeated until its deadline
    (`timeout_seconds`) and then raises Unavailable. A call that gets no answer in time raises
    DeadlineExceeded and is not repeated. `error.may_be_done` says whether the server may have done its work after any
    of the attempts, and `error.idempotency_keys` under which keys jobs that may be queued are submitted again.

    Three calls would mislead when repeated: `register`, `rotate_credential`, and `accept_jobs` without an
    agent's name. They are sent again only if the server certainly did not see them, or
    says that it did nothing about them.

    With a token and a secret both, looking up, listing, cancelling and counting jobs uses the token.
    `ca_file` holds PEM certificates to trust in place of the system's; `cert_file` and `key_file` are a client
    certificate and its key. Naming them turns TLS on. After a failed call they are read again if they have changed.
    `signer` (rainbow.signer) signs each job that is submitted.
    """

"""The synchronous client of a rainbow server."""

from rainbow import answers, records, translation
from rainbow.client_clusters import ClusterCalls
from rainbow.client_files import FileCalls
from rainbow.client_groups import GroupCalls
from rainbow.client_jobs import JobCalls
from rainbow.client_people import PeopleCalls
from rainbow.client_queue import QueueCalls
from rainbow.client_session import expect
from rainbow.client_submission import SubmissionCalls
from rainbow.errors import AlreadyExists
from rainbow.protos import rainbow_pb2 as pb


class Client(SubmissionCalls, QueueCalls, JobCalls, FileCalls, GroupCalls, ClusterCalls, PeopleCalls):
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

    def serial(self, content_id: str = "ping") -> records.Echo:
        """Test the connection. Needs no credential."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.Request(content=pb.Content(id=content_id), sent=translation.now())
        return translation.echo(self._connection.ask(self._stub.Serial, request))

    def register(self, cluster: str, *, registration_secret: str) -> records.Registration:
        """Add a cluster. Raises AlreadyExists when the name is taken."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RegisterRequest(name=cluster, secret=registration_secret, sent=translation.now())
        answer = self._connection.ask_once(self._stub.Register, request)
        if answer.status == pb.RegisterResponse.REGISTER_EXISTS:
            raise AlreadyExists(f"{cluster} is registered already; its credentials are with those who registered it")
        expect(answer.status, pb.RegisterResponse.REGISTER_SUCCESS)
        return answers.registration(answer, cluster=cluster)

    def resume_cluster(self) -> records.Resumption:
        """End a pause of the cluster. Raises FailedPrecondition where there is nothing to resume.

        With the secret the pause ends and all jobs that are held back are released; with a token alone the token's.
        """
        request = pb.ResumeClusterRequest(cluster=self.cluster)
        answer = self._connection.ask_once(self._stub.ResumeCluster, request, credential=self._secret or self._token)
        return translation.resumption(answer)

    def rotate_credential(
        self, kind: records.CredentialKind, *, label: str = "", grace_seconds: int | None = None
    ) -> records.RotatedCredential:
        """Replace a credential's value; the old one works for `grace_seconds` more (None means 300)."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RotateCredentialRequest(
                cluster=self.cluster,
                kind=translation.CREDENTIAL_KINDS[kind],
                label=label,
                grace_seconds=grace_seconds,
            )
        answer = self._connection.ask_once(self._stub.RotateCredential, request, credential=self._secret)
        return answers.rotated_credential(answer, asked=kind)

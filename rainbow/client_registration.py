"""Testing the connection, and a cluster's own credentials."""

from rainbow import answers, records, translation
from rainbow.client_session import ClientSession, expect
from rainbow.errors import AlreadyExists
from rainbow.protos import rainbow_pb2 as pb


class RegistrationCalls(ClientSession):
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

# Written from rainbow/client_files.py by `make client`. Change that file.
"""The files of jobs."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from rainbow import translation
from rainbow.aio.session import AsyncSession
from rainbow.connection import metadata_of
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb
from rainbow.spec_rules import MAX_INPUTS_BYTES

PART_BYTES = 1024 * 1024


class FileCalls(AsyncSession):
    async def put_inputs(self, contents: Iterable[bytes], *, project: str = "") -> tuple[str, ...]:
        """Have the server keep files for jobs that are submitted next; returns the SHA-256 of each, by which their
        `inputs` name it. What it keeps already is kept once.
        """
        files = list(contents)
        if any(len(content) > MAX_INPUTS_BYTES for content in files):
            raise InvalidArgument(f"must be at most {MAX_INPUTS_BYTES:,} bytes", field="content")
        answers = await self._connection.repeat(
            lambda _: self._put(files, project), deadline_seconds=self._connection.timeout_seconds
        )
        if len(answers) != len(files):
            raise translation.nonsense(f"it answers {len(answers):,} of {len(files):,} files")
        return tuple(answer.sha256 for answer in answers)

    async def read_input(self, jobid: int, *, attempt: int, agent: str, sha256: str) -> AsyncIterator[bytes]:
        """An input of a job that this agent holds, in parts. The digest is the caller's to check."""
        offset, size = (0, 1)
        while offset < size:
            with translation.refusing_what_the_wire_cannot_carry():
                request = pb.GetInputRequest(
                    cluster=self.cluster, agent=agent, jobid=jobid, attempt=attempt, sha256=sha256, offset=offset
                )
            answer = await self._connection.ask(self._stub.GetInput, request, credential=self._secret)
            size = answer.size
            if not answer.content and size:
                raise translation.nonsense("a part of a file is missing")
            offset += len(answer.content)
            yield answer.content

    async def _put(self, files: Sequence[bytes], project: str) -> list[pb.PutInputsResponse]:
        if not files:
            return []
        answers, parts = (list[pb.PutInputsResponse](), self._parts(files, project))
        async for answer in self._connection.exchange(self._stub.PutInputs, parts, metadata=metadata_of(self._token)):
            answers.append(answer)
        return answers

    def _parts(self, files: Sequence[bytes], project: str) -> Iterator[pb.PutInputsRequest]:
        for content in files:
            for start in range(0, max(len(content), 1), PART_BYTES):
                yield pb.PutInputsRequest(
                    cluster=self.cluster,
                    project=project,
                    content=content[start : start + PART_BYTES],
                    last=start + PART_BYTES >= len(content),
                )

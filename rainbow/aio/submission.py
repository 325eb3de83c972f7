# Written from rainbow/client_submission.py by `make client`. Change that file.
"""Submitting jobs."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from rainbow import records, submitting, translation
from rainbow.aio.pauses import AsyncPatience
from rainbow.aio.session import AsyncSession
from rainbow.aio.submitting import Submitting
from rainbow.call_log import Metadata
from rainbow.client_session import expect
from rainbow.connection import metadata_of
from rainbow.protos import rainbow_pb2 as pb


class SubmissionCalls(AsyncSession):
    async def submit_job(self, spec: records.JobSpec) -> records.Submission:
        """Queue one job. A repeated submission under the same idempotency key makes no second one."""
        spec = self._signed(submitting.with_key(spec))
        with translation.refusing_what_the_wire_cannot_carry():
            request = translation.submit_request(spec, cluster=self.cluster, token=self._token)
        with submitting.keys_kept([spec]):
            answer = await self._connection.ask(self._stub.SubmitJob, request)
            expect(answer.status, pb.SubmitJobResponse.SUBMIT_SUCCESS)
            return translation.submission(answer, key=spec.idempotency_key)

    async def submit_jobs(
        self, specs: Iterable[records.JobSpec], *, group: records.GroupWish | None = None
    ) -> records.SubmitResults:
        """Queue 1 to 10,000 jobs in one call, as members of a group if there is one; a refusal affects no other job."""
        keyed = [self._signed(submitting.with_key(spec)) for spec in specs]
        with translation.refusing_what_the_wire_cannot_carry():
            jobs = [translation.job_spec(spec) for spec in keyed]
            wish = translation.group_wish(submitting.with_group_key(group)) if group else None
        request = pb.SubmitJobsRequest(cluster=self.cluster, jobs=jobs, group=wish)
        with submitting.keys_kept(keyed):
            answer = await self._connection.ask(self._stub.SubmitJobs, request, credential=self._token)
            return translation.submit_results(answer, keys=[spec.idempotency_key for spec in keyed])

    async def resubmit_jobs(
        self, jobids: Sequence[int], *, changes: Mapping[str, Any] | None = None, key: str = ""
    ) -> records.Resubmissions:
        """Submit 1 to 1,000 jobs again, as new ones, with these fields of a JobSpec in place of the old ones' own.

        `key` is the new job's idempotency key; of several, what their keys begin with. An empty one lets the client
        choose. A signature is not carried over: see `JobSpec.resubmission_of`. Jobs that ask for more than 4 MiB
        together take further calls.
        """
        chosen, changed = (key or uuid4().hex, dict(changes or {}))
        keys = {jobid: chosen if len(jobids) == 1 else f"{chosen}/{jobid}" for jobid in jobids}
        results, signed, rest = (dict[int, records.SubmitResult](), list[int](), list(keys))
        while True:
            answer = await self._resubmit(rest, changed, key=chosen, keys=[keys[jobid] for jobid in rest])
            results |= zip(rest, answer.results, strict=True)
            signed += answer.signed_before
            left = [jobid for jobid in rest if submitting.is_for_another_call(results[jobid])]
            if not left or left == rest:
                return replace(answer, results=tuple(results[jobid] for jobid in jobids), signed_before=tuple(signed))
            rest = left

    async def _resubmit(
        self, jobids: Sequence[int], changed: Mapping[str, Any], *, key: str, keys: list[str]
    ) -> records.Resubmissions:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ResubmitJobsRequest(
                cluster=self.cluster,
                jobids=jobids,
                changes=translation.job_spec(records.JobSpec(**{"command": "", **changed})),
                changed=sorted(changed.keys() - {"project"}),
                idempotency_key=keys[0] if len(keys) == 1 else key,
            )
        answer = await self._connection.ask(self._stub.ResubmitJobs, request, credential=self._token)
        return translation.resubmissions(answer, keys=keys)

    def submit_stream(
        self, specs: Iterable[records.JobSpec], *, group: records.GroupWish | None = None
    ) -> AsyncIterator[records.SubmitResult]:
        """Queue any number of jobs, in batches: a result for each, in their order, while later ones are sent.

        They become members of the `group`, if there is one, which the last batch closes unless it says `more`.
        Up to 4,000 jobs are read ahead of the results. When the stream breaks, it is opened again, and jobs without
        a result are sent once more, under the same keys; of those that were queued already, the result says
        `duplicate`. Raises Unavailable when the server stays away for 5 minutes, and InvalidArgument at a job that
        cannot be sent. Then the last of the jobs without a result may be queued, or not.
        """
        patience = AsyncPatience(self._retries, first_seconds=self._connection.timeout_seconds)
        stream = partial(self._submit_batches, metadata=metadata_of(self._token))
        sender = Submitting(stream, patience=patience)
        return sender.results(submitting.batches(map(self._signed, specs), cluster=self.cluster, group=group))

    def _signed(self, spec: records.JobSpec) -> records.JobSpec:
        return self.signer.signed(spec, target=self.cluster) if self.signer else spec

    def _submit_batches(
        self, batches: AsyncIterator[submitting.Batch], *, metadata: Metadata
    ) -> AsyncIterator[submitting.Answer]:
        return self._connection.exchange(self._stub.SubmitJobStream, batches, metadata=metadata)

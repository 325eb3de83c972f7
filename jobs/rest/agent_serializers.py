from typing import Any

from rest_framework import serializers

from clusters.validation import MAX_REASON
from jobs.leases import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS
from jobs.models import MAX_ID
from jobs.reports import MAX_REASON_BYTES, MAX_REPORTS, REPORTABLE, Report, Return
from jobs.rest.facts import FactsSerializer
from jobs.rest.job_serializers import QueuedJobSerializer
from jobs.services.accept import MAX_IDS as MAX_ACCEPT
from jobs.services.accept import RefusalReason
from jobs.specs import (
    MAX_INT,
)
from jobs.states import EndCause, JobState
from rainbow_site.web.rest.fields import LINE, LINES, Choice, Input, Number, Numbers, Text

_LEASE = f"{MIN_SECONDS} to {MAX_SECONDS:,}; 0 means {DEFAULT_SECONDS}"


class QueueSerializer(serializers.Serializer[object]):
    jobs = QueuedJobSerializer(many=True)
    paused = serializers.CharField(help_text="why the cluster gets no jobs now; empty when it is not paused")


class AcceptSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_ACCEPT)
    agent = Text(
        max_length=255,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="without it the jobs are handed over for good",
    )
    lease_seconds = Number(min_value=0, max_value=MAX_SECONDS, default=0, help_text=f"{_LEASE}; only with an agent")


class AcceptedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    attempt = serializers.IntegerField()
    lease_expires_at = serializers.DateTimeField(allow_null=True)


class RefusedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    reason = serializers.SerializerMethodField()
    detail = serializers.CharField(source="message")

    def get_reason(self, refused: Any) -> str:
        return RefusalReason(refused.reason).name.lower()


class AcceptanceSerializer(serializers.Serializer[object]):
    accepted = AcceptedSerializer(many=True)
    refused = RefusedSerializer(many=True)


class ReportSerializer(Input):
    """How one attempt at a job goes."""

    id = Number(min_value=1, max_value=MAX_ID)
    attempt = Number(min_value=1, max_value=MAX_INT, help_text="as in the acceptance")
    state = Choice(
        [(state.value, state.label) for state in JobState if state in REPORTABLE],
        help_text="accepted while it waits in the scheduler, running, or how it ended",
    )
    native_id = Text(
        max_length=255, pattern=LINE, allow_blank=True, default="", help_text="the scheduler's own id of the job"
    )
    exit_code = Number(min_value=-MAX_INT - 1, max_value=MAX_INT, allow_null=True, default=None)
    reason = Text(
        max_length=MAX_REASON_BYTES,
        pattern=LINES,
        allow_blank=True,
        default="",
        help_text="why the job waits, or ended like this, up to 4 KiB",
    )
    output = Text(allow_blank=True, default="", help_text="the end of what it wrote; more than 64 KiB is cut")
    started_at = serializers.DateTimeField(allow_null=True, default=None)
    finished_at = serializers.DateTimeField(allow_null=True, default=None)
    returned = Choice(
        [(kind.name.lower(), kind.value) for kind in Return],
        allow_null=True,
        default=None,
        help_text="gives back a job that provably never started, whatever `state` says: for other clusters of its pool",
    )

    end_cause = Choice(
        EndCause.choices, allow_null=True, default=None, help_text="of a job that ended: how, where that is known"
    )

    def to_internal_value(self, data: Any) -> Report:
        values = super().to_internal_value(data)
        said, cause = values.pop("returned"), values.pop("end_cause")
        return Report(
            job_id=values.pop("id"),
            state=JobState(values.pop("state")),
            returned=Return[said.upper()] if said else None,
            end_cause=EndCause(cause) if cause else None,
            **values,
        )


class ReportManySerializer(Input):
    agent = Text(max_length=255, pattern=LINE, help_text="the agent's name")
    reports = ReportSerializer(many=True, max_length=MAX_REPORTS)  # type: ignore[call-arg]
    lease_seconds = Number(min_value=0, max_value=MAX_SECONDS, default=0, help_text=_LEASE)
    not_ready = Text(
        max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="", help_text="why the agent takes no jobs now"
    )
    pause = Text(
        max_length=MAX_REASON,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="pauses the cluster, for this reason",
    )
    hold_after = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="how many jobs of one token must fail at once in a row to hold back its other jobs; 0 disables this",
    )
    facts = FactsSerializer(
        allow_null=True,
        default=None,
        help_text="all that the cluster says of itself, in place of what it said before; null leaves that as it is; may"
        " change once in ten seconds",
    )


class ReportedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    outcome = serializers.SerializerMethodField()
    detail = serializers.CharField(source="outcome.value")
    cancel = serializers.BooleanField(help_text="whether the agent must stop this attempt")
    lease_expires_at = serializers.DateTimeField(allow_null=True)

    def get_outcome(self, reported: Any) -> str:
        return str(reported.outcome.name.lower())


class ReportedManySerializer(serializers.Serializer[object]):
    results = ReportedSerializer(many=True)

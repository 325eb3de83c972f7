"""What a job wrote, in parts."""

import re

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from jobs.models import MAX_ID
from jobs.rest.permissions import VIEW, sees_content
from jobs.services.output_parts import MOST_BYTES, Part, read_part
from jobs.services.relays import MAX_BYTES
from jobs.states import OutputSource
from jobs.web_clients import has_gone_from
from rainbow.errors import NO_SUCH_JOB, NotFound, PermissionDenied
from rainbow_site.web.rest.admission import ANY, admitted, read
from rainbow_site.web.rest.fields import Choice, Digits, Query
from rainbow_site.web.rest.schema import BY_ANYBODY, answers

# One range; others are answered as a request without (RFC 9110, section 14.2).
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.ASCII)
# The last 0 bytes, of which there are never any.
_NONE = (0, 0)
RANGE = OpenApiParameter(
    "Range", str, OpenApiParameter.HEADER, description="one range of bytes, such as `bytes=100-` or `bytes=-65536`"
)


class OutputQuerySerializer(Query):
    source = Choice([(one.value, one.label) for one in OutputSource], default=OutputSource.STDOUT)  # type: ignore[assignment]
    file = serializers.CharField(
        default="", help_text="with `source=file`: its path below the job's folder of files", trim_whitespace=False
    )
    vars()["from"] = Digits(min_value=0, max_value=MAX_BYTES, default=0, help_text="from which byte on, the first is 0")


class Output(APIView):
    @extend_schema(
        operation_id="get_job_output",
        summary="Get what a job wrote",
        auth=BY_ANYBODY,
        tags=["jobs"],
        parameters=[OutputQuerySerializer, RANGE],
        responses=answers(
            {
                (200, "application/octet-stream"): OpenApiTypes.BINARY,
                (206, "application/octet-stream"): OpenApiTypes.BINARY,
            },
            409,
            416,
            429,
        ),
    )
    def get(self, request: Request, job: int) -> HttpResponse:
        """Returns up to 1 MiB of what a job wrote to standard output or standard error, or of a file in its folder of
        files, from its site, while it runs and for as long as the site keeps it. `source=listing` has the names and
        sizes of these files, as lines of JSON. `X-Rainbow-Next` is where the next part begins, `X-Rainbow-More` whether
        there is more, or may be later. Answers 409 where the site does not send it; then `output` of the job has the
        end.
        """
        by = admitted(request, ANY, staff=VIEW)
        if not sees_content(request):
            raise PermissionDenied("seeing what jobs write needs a permission of its own")
        said = read(OutputQuerySerializer, {name: request.query_params[name] for name in request.query_params})
        if not 1 <= job <= MAX_ID:
            raise NotFound(NO_SUCH_JOB)
        ranged = _range_of(request)
        if ranged == _NONE:
            return _unsatisfied()
        start, most = ranged or (said["from"], MOST_BYTES)
        part = read_part(
            by=by,
            job_id=job,
            source=OutputSource(said["source"]),
            start=start,
            most_bytes=most,
            file=said["file"],
            clock=timezone.now,
            has_gone=has_gone_from(request.META),
        )
        return _ranged(part) if ranged else answer_of(part)


def answer_of(part: Part, *, status: int = 200) -> HttpResponse:
    answer = HttpResponse(part.data, content_type="application/octet-stream", status=status)
    answer["X-Rainbow-Offset"] = str(part.offset)
    answer["X-Rainbow-Next"] = str(part.next)
    answer["X-Rainbow-Attempt"] = str(part.attempt)
    answer["X-Rainbow-More"] = "true" if part.more else "false"
    # No browser is to make a page of it.
    answer["Content-Disposition"] = "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _range_of(request: Request) -> tuple[int, int] | None:
    """From which byte on and how many of them; None without a range, or with one that is not valid."""
    ranged = _RANGE.fullmatch(request.headers.get("Range", ""))
    if not ranged:
        return None
    first, last, from_end = ranged.groups()
    if from_end:
        return (-int(from_end), MOST_BYTES) if int(from_end) else _NONE
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) - int(first) + 1, MOST_BYTES) if last else MOST_BYTES


def _ranged(part: Part) -> HttpResponse:
    """Nobody knows how long it will be. What is not there, or not yet, cannot be sent."""
    if not part.data:
        return _unsatisfied()
    answer = answer_of(part, status=206)
    answer["Content-Range"] = f"bytes {part.offset}-{part.next - 1}/*"
    return answer


def _unsatisfied() -> HttpResponse:
    answer = HttpResponse(status=416, content_type="application/octet-stream")
    answer["Content-Range"] = "bytes */*"
    return answer

"""What a job writes, for its page: parts of its outputs, for the script of the page, and whole files."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import content_disposition_header

from clusters.callers import Caller, Operator
from clusters.visible import visible
from jobs.queries.lookup import within_reach
from jobs.services.output_parts import MOST_BYTES, read_part
from jobs.services.relays import NoAgent
from jobs.states import OutputSource
from jobs.web_clients import has_gone_from
from rainbow.errors import FailedPrecondition, InvalidArgument, LimitReached, NotFound, RainbowError

# What a page shows first.
FIRST_BYTES = 64 * 1024
_MOST_DIGITS = 18
# For an agent to have the job.
_LOOK_AGAIN_SECONDS = 5
# Of a file that a browser fetches at once; it passes through this process's memory.
MOST_BYTES_OF_FILE = 16 * 1024 * 1024


def output_part(request: HttpRequest, *, by: Caller | Operator, job_id: int) -> HttpResponse:
    """From the byte of the parameter `from` on, or the end of it; of standard error if `source` says so."""
    said = request.GET.get("from", "")
    known = said.isascii() and said.isdecimal() and len(said) <= _MOST_DIGITS
    source = OutputSource.STDERR if request.GET.get("source") == "stderr" else OutputSource.STDOUT
    try:
        part = read_part(
            by=by,
            job_id=job_id,
            source=source,
            start=int(said) if known else -FIRST_BYTES,
            most_bytes=MOST_BYTES if known else FIRST_BYTES,
            clock=timezone.now,
            has_gone=has_gone_from(request.META),
        )
    except NotFound as error:
        raise Http404 from error
    except RainbowError as error:
        # Not now. Browsers complain of what answers with an error.
        answer = HttpResponse(status=204)
        if isinstance(error, NoAgent):
            answer["Retry-After"] = str(_LOOK_AGAIN_SECONDS)
        if isinstance(error, LimitReached):
            answer["Retry-After"] = str(error.retry_after_seconds)
        return answer
    answer = _attachment(part.data)
    answer["X-Rainbow-Next"] = str(part.next)
    answer["X-Rainbow-More"] = "true" if part.more else "false"
    answer["X-Rainbow-Attempt"] = str(part.attempt)
    return answer


def output_file(request: HttpRequest, *, by: Caller | Operator, job_id: int, job_page: str) -> HttpResponse:
    """The file of the parameter `name`, whole, to be saved. What it is named and what is in it is the job's doing.

    Where that is not possible, the page of the job says why.
    """
    name = request.GET.get("name", "")
    # Before the name is judged: of a job that is not theirs, people learn nothing.
    if not within_reach(by).filter(id=job_id).exists():
        raise Http404
    try:
        data = _whole_file(by, job_id, name, has_gone=has_gone_from(request.META))
    except NotFound as error:
        raise Http404 from error
    except InvalidArgument:
        messages.error(request, "No file of a job has such a name.")
        return redirect(job_page)
    except RainbowError as error:
        messages.error(request, f"{visible(name)} cannot be fetched now: {visible(error.message)}.")
        return redirect(job_page)
    return _attachment(data, name=name.rpartition("/")[2])


def _whole_file(by: Caller | Operator, job_id: int, name: str, *, has_gone: Callable[[], bool]) -> bytes:
    part = read_part(
        by=by,
        job_id=job_id,
        source=OutputSource.FILE,
        file=name,
        start=0,
        most_bytes=MOST_BYTES_OF_FILE + 1,
        clock=timezone.now,
        has_gone=has_gone,
    )
    if len(part.data) > MOST_BYTES_OF_FILE:
        raise FailedPrecondition("it is too large for a page; rainbow fetch writes files of any size")
    return part.data


def _attachment(data: bytes, *, name: str = "") -> HttpResponse:
    """No browser is to make a page of it."""
    answer = HttpResponse(data, content_type="application/octet-stream")
    answer["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer

"""What a job writes, for the script of its page, which asks for one part after the other."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from clusters.callers import Caller, Operator
from jobs.services.output_parts import MOST_BYTES, read_part
from jobs.states import OutputSource
from rainbow.errors import NotFound, RainbowError

# What a page shows first.
FIRST_BYTES = 64 * 1024
_MOST_DIGITS = 18


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
        )
    except NotFound as error:
        raise Http404 from error
    except RainbowError:
        # Not now. Browsers complain of what answers with an error.
        return HttpResponse(status=204)
    answer = HttpResponse(part.data, content_type="application/octet-stream")
    answer["X-Rainbow-Next"] = str(part.next)
    answer["X-Rainbow-More"] = "true" if part.more else "false"
    answer["Content-Disposition"] = "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer

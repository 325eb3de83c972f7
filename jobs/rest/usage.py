"""Usage, as JSON and as CSV."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller, Operator
from clusters.models import CredentialKind
from clusters.services.of_people import caller_of_person
from jobs.queries.usage import MAX_DAYS, MAX_NAME, Asked, By, UsageRow, usage
from jobs.rest.permissions import VIEW
from jobs.usage import day_of
from rainbow_site.web.rest.admission import admitted_operator, holder, person, read
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, Choice, Query, Text
from rainbow_site.web.rest.pages import BrowsableAPI
from rainbow_site.web.rest.schema import BY_OPERATOR, BY_PERSON, answers
from rainbow_site.web.rest.written import Written, WrittenJSON, compact, document, objects_of, writers_of

_DEFAULT_DAYS = 30
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBERS = ("jobs", "node_seconds")
# What spreadsheets take for the beginning of a formula (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@extend_schema_field({"type": "string", "format": "date"})
class Day(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> date:
        try:
            # Python would take 20261201 and 2026-W49-2, too.
            if isinstance(data, str) and _DAY.fullmatch(data):
                return date.fromisoformat(data)
        except ValueError:
            pass
        raise serializers.ValidationError("must be a day, such as 2026-12-01")

    def to_representation(self, value: date | None) -> str | None:
        return value.isoformat() if value else None


@extend_schema_field({"type": "string", "pattern": f"^({'|'.join(By)})(,({'|'.join(By)}))*$"})
class ToldApartBy(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> tuple[By, ...]:
        words = data.split(",", len(By)) if isinstance(data, str) else []
        if not words or set(words) - set(By) or len(set(words)) < len(words):
            raise serializers.ValidationError(f"must be some of {', '.join(By)}, each once, with commas between")
        return tuple(map(By, words))


class UsageQuerySerializer(Query):
    since = Day(required=False, help_text=f"the first day (UTC); {_DEFAULT_DAYS - 1} days before `until` if left out")
    until = Day(
        required=False,
        help_text=f"the last day (UTC), less than {MAX_DAYS} days later; if left out, the later of today and `since`",
    )
    by = ToldApartBy(required=False, help_text=f"what to tell apart: {','.join(By)} if left out")
    cluster = Text(default="", max_length=MAX_NAME, pattern=CLUSTER_NAME, help_text="only of this cluster")
    project = Text(default="", max_length=MAX_NAME, pattern=LINE, help_text="only of this project")
    person = Text(default="", max_length=MAX_NAME, pattern=LINE, help_text="only of this person")
    format = Choice([("json", "JSON"), ("csv", "CSV")], default="", help_text="goes before the header `Accept`")


class UsageRowSerializer(serializers.Serializer[Any]):
    day = serializers.DateField(allow_null=True, help_text="on which the jobs ended, in UTC")
    cluster = serializers.CharField()
    project = serializers.CharField(help_text="empty of jobs that count for none")
    person = serializers.CharField(help_text="empty of jobs that are no person's")
    jobs = serializers.IntegerField(help_text="that ran, and ended")
    node_seconds = serializers.IntegerField(help_text="nodes times seconds of their attempts")


class UsageSerializer(serializers.Serializer[Any]):
    """`day` is null and names are empty in rows that are not told apart by them."""

    since = serializers.DateField()
    until = serializers.DateField()
    by = serializers.ListField(child=serializers.ChoiceField(list(By)), help_text="what the rows are told apart by")
    usage = UsageRowSerializer(many=True)


class UsageAsCsv(BaseRenderer):
    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data) if "usage" not in data else as_csv(data["by"], data["usage"]).encode()


class UsageView(APIView):
    renderer_classes = (WrittenJSON, UsageAsCsv, BrowsableAPI)

    def answer(self, request: Request, seen_as: Caller | Operator) -> Response:
        said = read(UsageQuerySerializer, {name: request.query_params[name] for name in request.query_params})
        # A first day that is yet to come is asked for by itself: `until`, which was not said, is not at fault.
        until = said.get("until") or max(day_of(timezone.now()), said.get("since", date.min))
        named = {name: said[name] for name in ("cluster", "project", "person")}
        since = said.get("since") or until - min(timedelta(days=_DEFAULT_DAYS - 1), until - date.min)
        asked = Asked(since=since, until=until, by=said.get("by", tuple(By)), **named)
        rows = usage(asked, seen_as=seen_as)
        if said["format"]:
            self._render_as(request, said["format"])
        by = [one for one in By if one in asked.by]
        if request.accepted_renderer.format == UsageAsCsv.format:
            return Response({"by": by, "usage": [asdict(row) for row in rows]})
        return Response(_written(asked, by, rows))

    def _render_as(self, request: Request, wanted: str) -> None:
        renderer = next(one for one in self.renderer_classes if one.format == wanted)
        request.accepted_renderer, request.accepted_media_type = renderer(), str(renderer.media_type)


def _written(asked: Asked, by: Sequence[By], rows: Sequence[UsageRow]) -> Written:
    head = {"since": asked.since.isoformat(), "until": asked.until.isoformat(), "by": by}
    said = ",".join(f'"{name}":{compact(value)}' for name, value in head.items())
    return document(f'{{{said},"usage":{objects_of(rows, writers_of(UsageRowSerializer))}}}')


class Usage(UsageView):
    @extend_schema(
        operation_id="get_usage",
        summary="Get the usage",
        auth=BY_OPERATOR,
        tags=["usage"],
        parameters=[UsageQuerySerializer],
        responses=answers({200: UsageSerializer, (200, "text/csv"): str}),
    )
    def get(self, request: Request) -> Response:
        """Returns what jobs used, by day, cluster, project and person, in this order."""
        return self.answer(request, admitted_operator(request, staff=VIEW))


class MyUsage(UsageView):
    @extend_schema(
        operation_id="get_my_usage",
        summary="Get my usage",
        auth=BY_PERSON,
        tags=["people"],
        parameters=[UsageQuerySerializer],
        responses=answers({200: UsageSerializer, (200, "text/csv"): str}),
    )
    def get(self, request: Request) -> Response:
        """Returns the same of the person's jobs, and of projects whose jobs they see, as their token reaches them."""
        return self.answer(request, _person(request))


def _person(request: Request) -> Caller:
    if isinstance(request.auth, Caller):
        return holder(request, frozenset({CredentialKind.PERSONAL}))
    by = person(request)
    return caller_of_person(by.user_id, request_id=by.request_id)


def as_csv(by: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """RFC 4180, with what the rows are told apart by. What a spreadsheet would take for a formula begins with a '."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = (*by, *_NUMBERS)
    writer.writerow(columns)
    for row in rows:
        writer.writerow(_cell(row[name]) for name in columns)
    return text.getvalue()


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text

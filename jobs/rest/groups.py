from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.callers import Caller, Operator
from jobs.models import MAX_ID
from jobs.queries.groups import MAX_PAGE, get_group, list_groups
from jobs.rest.job_serializers import WITH_CONTENT, JobBriefSerializer
from jobs.rest.permissions import ACT, VIEW, sees_content
from jobs.services.cancel_group import cancel_group
from rainbow.errors import NO_SUCH_GROUP, NotFound
from rainbow_site.web.rest.admission import ANY, admitted, read
from rainbow_site.web.rest.fields import Digits, Query
from rainbow_site.web.rest.reasons import OptionalReasonSerializer
from rainbow_site.web.rest.schema import BY_ANYBODY, answers


class GroupQuerySerializer(Query):
    going = serializers.ChoiceField(["true"], default="", help_text="only groups that are not finished")
    page_size = Digits(min_value=1, max_value=MAX_PAGE, default=0, help_text="100 by default")
    cursor = Digits(min_value=1, max_value=MAX_ID, default=0, help_text="as in `next` of the previous page")


class GroupBriefSerializer(serializers.Serializer[Any]):
    """A group of jobs: many that are submitted, watched and cancelled as one."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    cluster = serializers.CharField(help_text="the cluster or pool that its members were submitted to")
    jobs = serializers.IntegerField(source="members", help_text="how many members it has")
    counts = serializers.DictField(
        child=serializers.IntegerField(), help_text="the number of members in each state; states without are left out"
    )
    open = serializers.BooleanField(help_text="whether it takes further members")
    owner = serializers.CharField(help_text="the person whose it is; empty of one of a cluster's or project's token")
    project = serializers.CharField(help_text="the project that it counts for; empty of one of a cluster's token")
    submitted_by = serializers.CharField(help_text="the label of the credential that it was submitted with")
    at_once = serializers.IntegerField(help_text="how many members may be in queues and clusters at a time; 0: any")
    stop_after_failures = serializers.IntegerField(help_text="after how many failed members the rest is cancelled")
    stopped_at = serializers.DateTimeField(allow_null=True, help_text="since when its members are being cancelled")
    why = serializers.CharField(help_text="why they are")
    made_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True, help_text="when its last member was over")


class GroupSerializer(GroupBriefSerializer):
    failures = JobBriefSerializer(many=True, help_text="the first of its members that failed, up to 10")


class GroupPageSerializer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True, help_text="the next page; null on the last")
    results = GroupBriefSerializer(many=True)


class Groups(APIView):
    @extend_schema(
        operation_id="list_groups",
        summary="List groups of jobs",
        auth=BY_ANYBODY,
        tags=["groups"],
        parameters=[GroupQuerySerializer],
        responses=answers({200: GroupPageSerializer}),
    )
    def get(self, request: Request) -> Response:
        """Returns a page of groups, the newest first: those whose members the caller sees, for operators all."""
        by = admitted(request, ANY, staff=VIEW)
        said = read(GroupQuerySerializer, {name: request.query_params[name] for name in request.query_params})
        page = list_groups(by=by, going=bool(said["going"]), size=said["page_size"], last=said["cursor"])
        following = _next(request, page.groups[-1].id) if page.more else None
        return Response({"next": following, "results": GroupBriefSerializer(page.groups, many=True).data})


class GroupDetail(APIView):
    @extend_schema(
        operation_id="get_group",
        summary="Get a group of jobs",
        auth=BY_ANYBODY,
        tags=["groups"],
        responses=answers({200: GroupSerializer}),
    )
    def get(self, request: Request, group: int) -> Response:
        """Returns a group: how many of its members are in each state, and the first that failed."""
        return Response(_shown(request, admitted(request, ANY, staff=VIEW), group))


class CancelGroup(APIView):
    @extend_schema(
        operation_id="cancel_group",
        summary="Cancel a group of jobs",
        auth=BY_ANYBODY,
        tags=["groups"],
        request=OptionalReasonSerializer,
        responses=answers({200: GroupSerializer}, 409, body=True),
        examples=[OpenApiExample("a reason", value={"reason": "wrong input file"}, request_only=True)],
    )
    def post(self, request: Request, group: int) -> Response:
        """Cancels all members of a group, in the background: those that wait at once, the others when their agents
        confirm. Once it is answered, it is done whatever happens.
        """
        by = admitted(request, ANY, staff=ACT)
        reason = read(OptionalReasonSerializer, request.data)["reason"]
        if not 1 <= group <= MAX_ID:
            raise NotFound(NO_SUCH_GROUP)
        cancel_group(by=by, group_id=group, reason=reason, now=timezone.now())
        return Response(_shown(request, by, group))


def _shown(request: Request, by: Caller | Operator, group: int) -> Any:
    found = get_group(by=by, group_id=group) if 1 <= group <= MAX_ID else None
    if found is None:
        raise NotFound(NO_SUCH_GROUP)
    return GroupSerializer(found, context={WITH_CONTENT: sees_content(request)}).data


def _next(request: Request, last: int) -> str:
    query = {**request.query_params.dict(), "cursor": str(last)}
    return f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"

"""The webhooks of a project, for those who lead it."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clusters.services.projects import project_managed
from jobs.models import Notification, Webhook
from jobs.services.webhooks import MAX_URL, make_webhook, remove_webhook, resume_webhook
from rainbow.errors import NotFound
from rainbow_site.web.rest.admission import NO_STORE, person, read
from rainbow_site.web.rest.fields import LINE, Choice, Input, Text
from rainbow_site.web.rest.schema import BY_PERSON, answers

_NEW = {"url": "https://hooks.example.org/rainbow", "events": ["job.ended"]}


class NewWebhookSerializer(Input):
    url = Text(max_length=MAX_URL, pattern=LINE, help_text="where notifications are posted: https://")
    events = serializers.ListField(
        child=Choice(Notification.choices), max_length=10, default=list, help_text="empty means all"
    )


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook without its secret."""

    events = serializers.ListField(child=serializers.CharField())
    failures = serializers.IntegerField(help_text="how many times in a row nothing could be delivered")

    class Meta:
        model = Webhook
        fields: tuple[str, ...] = (
            "id", "url", "events", "made_at", "failing_since", "failures", "last_failure", "next_at", "off_at",
            "off_reason",
        )  # fmt: skip
        read_only_fields = fields


class WebhookSecretSerializer(WebhookSerializer):
    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")
        read_only_fields = fields


class Webhooks(APIView):
    @extend_schema(
        operation_id="list_webhooks",
        summary="List the webhooks of a project",
        auth=BY_PERSON,
        tags=["people"],
        responses=answers({200: WebhookSerializer(many=True)}),
    )
    def get(self, request: Request, project: str) -> Response:
        """Returns the webhooks of a project that the caller leads, without their secrets."""
        found = Webhook.objects.filter(project=project_managed(project, person(request))).order_by("id")
        return Response(WebhookSerializer(found, many=True).data)

    @extend_schema(
        operation_id="create_webhook",
        summary="Create a webhook",
        auth=BY_PERSON,
        tags=["people"],
        request=NewWebhookSerializer,
        responses=answers({201: WebhookSecretSerializer}, 409, body=True),
        examples=[OpenApiExample("ends of jobs", value=_NEW, request_only=True)],
    )
    def post(self, request: Request, project: str) -> Response:
        """Makes a webhook of a project that the caller leads; its secret is only in this answer."""
        led = project_managed(project, person(request))
        said = read(NewWebhookSerializer, request.data)
        made = make_webhook(project_id=led.id, url=said["url"], events=said["events"], now=timezone.now())
        return Response(WebhookSecretSerializer(made).data, status=status.HTTP_201_CREATED, headers=NO_STORE)


class WebhookDetail(APIView):
    @extend_schema(
        operation_id="delete_webhook",
        summary="Delete a webhook",
        auth=BY_PERSON,
        tags=["people"],
        responses=answers({204: None}),
    )
    def delete(self, request: Request, project: str, webhook: int) -> Response:
        """Deletes a webhook of a project that the caller leads, with what it is still to be told."""
        remove_webhook(webhook_id=_of_project(request, project, webhook))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookResume(APIView):
    @extend_schema(
        operation_id="resume_webhook",
        summary="Resume a webhook",
        auth=BY_PERSON,
        tags=["people"],
        request=None,
        responses=answers({204: None}),
    )
    def post(self, request: Request, project: str, webhook: int) -> Response:
        """Switches a webhook on again that was switched off, and sends what waits."""
        resume_webhook(webhook_id=_of_project(request, project, webhook))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _of_project(request: Request, project: str, webhook: int) -> int:
    """Raises NotFound, also for a webhook of another project."""
    led: Any = project_managed(project, person(request))
    if not Webhook.objects.filter(project=led, id=webhook).exists():
        raise NotFound("there is no such webhook")
    return webhook

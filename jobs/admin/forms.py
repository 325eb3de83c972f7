from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import QuerySet
from django.utils import timezone

from clusters.admin.forms import ReasonForm, number_from
from clusters.models import Cluster, Credential, Project
from jobs.models import MAX_ID
from jobs.queries.cluster_tokens import listed_tokens, tokens_of
from jobs.queries.search import Search
from jobs.services.actions import Action
from jobs.specs import MAX_NAME, MAX_PRIORITY, check_labels
from jobs.states import ActionKind, JobState
from rainbow.errors import InvalidArgument

_Named = TypeVar("_Named", User, Project)
SEE_CONTENT = "jobs.see_content_of_job"
_SINCE = {"1h": ("the last hour", 1), "24h": ("the last 24 hours", 24), "7d": ("the last 7 days", 168)}


class ClusterChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # at run time it takes none
    """The clusters, then the pools: all, or those `among`."""

    def __init__(self, among: QuerySet[Cluster] | None = None, **options: Any) -> None:
        clusters = Cluster.objects.all() if among is None else among
        super().__init__(clusters.defer("facts").order_by("pool", "name"), **options)

    def label_from_instance(self, obj: Cluster) -> str:
        return f"{obj} (pool)" if obj.pool else str(obj)


class JobSearchForm(forms.Form):
    """What people and operators search alike."""

    state = forms.ChoiceField(required=False, choices=[("", "any"), *JobState.choices])
    cluster = ClusterChoice(required=False, empty_label="any")
    since = forms.ChoiceField(
        required=False,
        choices=[("", "any time"), *((key, words) for key, (words, _) in _SINCE.items())],
        label="Submitted in",
    )
    group = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_ID, widget=forms.TextInput(attrs={"inputmode": "numeric", "size": 8})
    )
    label = forms.CharField(required=False, max_length=400, widget=forms.TextInput(attrs={"placeholder": "NAME=VALUE"}))
    text = forms.CharField(required=False, max_length=MAX_NAME, widget=forms.TextInput(attrs={"type": "search"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""

    def clean_label(self) -> dict[str, str]:
        text = self.cleaned_data["label"]
        key, equals, value = text.partition("=")
        if text and not equals:
            raise forms.ValidationError("must be NAME=VALUE")
        labels = {key: value} if text else {}
        try:
            check_labels(labels)
        except InvalidArgument as error:
            raise forms.ValidationError(error.message) from None
        return labels

    def said_search(self, *, now: datetime, last: int = 0) -> Search:
        said = self.cleaned_data
        hours = _SINCE[said["since"]][1] if said["since"] else 0
        return Search(
            states=[JobState(said["state"])] if said["state"] else (),
            labels=said["label"],
            text=said["text"],
            group=said["group"] or 0,
            cluster_id=said["cluster"].id if said["cluster"] else None,
            submitted_after=now - timedelta(hours=hours) if hours else None,
            last=last,
        )


class TokenChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # at run time it takes none
    """Takes any token of a cluster, and lists few: those that no longer work are without number."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Credential.objects.none(), **options)
        self.widget.attrs["disabled"] = True

    def choose_among(self, *, cluster_id: int, chosen: int) -> None:
        self.queryset = tokens_of(cluster_id)
        self.choices = partial(self._listed, cluster_id, chosen)
        del self.widget.attrs["disabled"]

    def _listed(self, cluster_id: int, chosen: int) -> list[tuple[int | str, str]]:
        now = timezone.now()
        tokens = listed_tokens(cluster_id=cluster_id, chosen=chosen, now=now)
        return [("", str(self.empty_label)), *((token.id, _with_its_end(token, now)) for token in tokens)]


def _with_its_end(token: Credential, now: datetime) -> str:
    """Of tokens that no longer work, several may have the label of one that does."""
    if token.revoked_at:
        return f"{token}, revoked {token.revoked_at:%Y-%m-%d}"
    expired = token.expires_at and token.expires_at <= now
    return f"{token}, expired {token.expires_at:%Y-%m-%d}" if expired else str(token)


class SearchForm(JobSearchForm):
    """Its tokens are only those of the chosen cluster: a fleet has too many to list."""

    field_order = ["state", "cluster", "token", "owner", "project", "group", "since", "label", "text"]
    token = TokenChoice(required=False, empty_label="any", label="Submitted with")
    owner = forms.CharField(required=False, max_length=150)
    project = forms.CharField(required=False, max_length=63)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cluster_id, chosen = (number_from(str(self.data.get(name, ""))) for name in ("cluster", "token"))
        field = self.fields["token"]
        if cluster_id and isinstance(field, TokenChoice):
            field.choose_among(cluster_id=cluster_id, chosen=chosen)

    def clean_owner(self) -> User | None:
        return self._named("owner", User.objects.filter(username=self.cleaned_data["owner"]))

    def clean_project(self) -> Project | None:
        return self._named("project", Project.objects.filter(name=self.cleaned_data["project"]))

    def _named(self, field: str, found: QuerySet[_Named]) -> _Named | None:
        if not self.cleaned_data[field]:
            return None
        if one := found.first():
            return one
        raise forms.ValidationError(f"there is no such {'person' if field == 'owner' else field}")

    def search(self, *, user: User | AnonymousUser, now: datetime, last: int = 0) -> Search:
        """Matches commands only for users who may see them."""
        said = self.cleaned_data
        return replace(
            self.said_search(now=now, last=last),
            in_commands=user.has_perm(SEE_CONTENT),
            submitted_by=said["token"].id if said["token"] else None,
            owner_id=said["owner"].id if said["owner"] else None,
            project_id=said["project"].id if said["project"] else None,
        )

    def in_words(self) -> list[str]:
        said = self.cleaned_data
        labels = [f"{key}={value}" for key, value in said["label"].items()]
        words = (
            ("that are", said["state"]),
            ("of", said["cluster"]),
            ("submitted with", said["token"]),
            ("of the person", said["owner"]),
            ("of the project", said["project"]),
            ("of the group", said["group"]),
            ("submitted in", _SINCE[said["since"]][0] if said["since"] else ""),
            ("labeled", labels[0] if labels else ""),
            ("with the text", f"“{said['text']}”" if said["text"] else ""),
        )
        return [f"{before} {what}" for before, what in words if what]


class PriorityForm(ReasonForm):
    field_order = ["priority", "reason"]
    priority = forms.IntegerField(
        min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, help_text="-100 to 100; the higher goes first"
    )


class MoveForm(ReasonForm):
    field_order = ["cluster_id", "reason"]
    cluster_id = ClusterChoice(label="To cluster or pool", empty_label="choose one")


FORMS: dict[ActionKind, type[ReasonForm]] = {
    ActionKind.CANCEL: ReasonForm,
    ActionKind.REQUEUE: ReasonForm,
    ActionKind.PRIORITIZE: PriorityForm,
    ActionKind.MOVE: MoveForm,
}


def action_from(kind: ActionKind, form: ReasonForm) -> Action:
    said = form.cleaned_data
    to = said.get("cluster_id")
    return Action(kind=kind, reason=said["reason"], priority=said.get("priority", 0), cluster_id=to.id if to else 0)


def job_id_from(text: str) -> int:
    """The job id in a query string; 0 for anything that is none."""
    return number_from(text, highest=MAX_ID)

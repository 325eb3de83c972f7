from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import AnonymousUser, User

from clusters.admin.forms import ReasonForm, number_from
from clusters.models import Cluster, Credential, CredentialKind
from jobs.models import MAX_ID
from jobs.queries.search import Search
from jobs.services.actions import Action
from jobs.specs import MAX_NAME, MAX_PRIORITY, check_labels
from jobs.states import ActionKind, JobState
from rainbow.errors import InvalidArgument

SEE_CONTENT = "jobs.see_content_of_job"
_SINCE = {"1h": ("the last hour", 1), "24h": ("the last 24 hours", 24), "7d": ("the last 7 days", 168)}


class _ClusterChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # at run time it takes none
    """The clusters, then the pools."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Cluster.objects.defer("facts").order_by("pool", "name"), **options)

    def label_from_instance(self, obj: Cluster) -> str:
        return f"{obj} (pool)" if obj.pool else str(obj)


class SearchForm(forms.Form):
    """Its tokens are only those of the chosen cluster: a fleet has too many to list."""

    state = forms.ChoiceField(required=False, choices=[("", "any"), *JobState.choices])
    cluster = _ClusterChoice(required=False, empty_label="any")
    token = forms.ModelChoiceField(Credential.objects.none(), required=False, empty_label="any", label="Submitted with")
    since = forms.ChoiceField(
        required=False,
        choices=[("", "any time"), *((key, words) for key, (words, _) in _SINCE.items())],
        label="Submitted in",
    )
    label = forms.CharField(required=False, max_length=400, widget=forms.TextInput(attrs={"placeholder": "key=value"}))
    text = forms.CharField(required=False, max_length=MAX_NAME, widget=forms.TextInput(attrs={"type": "search"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        cluster_id = number_from(str(self.data.get("cluster", "")))
        field = self.fields["token"]
        if cluster_id and isinstance(field, forms.ModelChoiceField):
            tokens = Credential.objects.filter(cluster_id=cluster_id, kind=CredentialKind.TOKEN)
            field.queryset = tokens.order_by("label", "id")
        else:
            field.widget.attrs["disabled"] = True

    def clean_label(self) -> dict[str, str]:
        text = self.cleaned_data["label"]
        key, equals, value = text.partition("=")
        if text and not equals:
            raise forms.ValidationError("must be key=value")
        labels = {key: value} if text else {}
        try:
            check_labels(labels)
        except InvalidArgument as error:
            raise forms.ValidationError(error.message) from None
        return labels

    def search(self, *, user: User | AnonymousUser, now: datetime, last: int = 0) -> Search:
        """Matches commands only for users who may see them."""
        said = self.cleaned_data
        hours = _SINCE[said["since"]][1] if said["since"] else 0
        return Search(
            states=[JobState(said["state"])] if said["state"] else (),
            labels=said["label"],
            text=said["text"],
            in_commands=user.has_perm(SEE_CONTENT),
            cluster_id=said["cluster"].id if said["cluster"] else None,
            submitted_by=said["token"].id if said["token"] else None,
            submitted_after=now - timedelta(hours=hours) if hours else None,
            last=last,
        )

    def in_words(self) -> list[str]:
        said = self.cleaned_data
        labels = [f"{key}={value}" for key, value in said["label"].items()]
        words = (
            ("that are", said["state"]),
            ("of", said["cluster"]),
            ("submitted with", said["token"]),
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
    cluster_id = _ClusterChoice(label="To cluster or pool", empty_label="choose one")


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

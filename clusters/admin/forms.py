from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms

from clusters.models import CredentialKind, Role
from clusters.services.personal_tokens import DEFAULT_DAYS, Wish
from clusters.validation import MAX_LABEL, MAX_REASON

# Of a BigAutoField.
_HIGHEST = 2**63 - 1
# Of an account.
_LONGEST_NAME = 150

GRACES = [(0, "at once"), (300, "in 5 minutes"), (3_600, "in an hour"), (86_400, "in a day"), (604_800, "in 7 days")]


LIVES = [(0, "never"), (7, "in 7 days"), (30, "in 30 days"), (90, "in 90 days"), (365, "in a year")]


KINDS = [(CredentialKind.TOKEN, "token, to submit jobs"), (CredentialKind.SECRET, "secret, to pull them")]


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=MAX_REASON, widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}))


class RotateForm(ReasonForm):
    grace_seconds = forms.TypedChoiceField(
        choices=GRACES, coerce=int, initial=3_600, label="The value in use so far stops working"
    )

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.cleaned_data["grace_seconds"])


class NewCredentialForm(ReasonForm):
    field_order = ["kind", "label", "days", "reason"]
    kind = forms.ChoiceField(choices=KINDS)
    label = forms.CharField(max_length=MAX_LABEL, help_text="whom it is for, such as nightly-ci")
    days = forms.TypedChoiceField(choices=LIVES, coerce=int, initial=90, label="It expires")

    def __init__(self, *args: Any, pool: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if pool:
            # A pool has no secret.
            self.fields["kind"] = forms.ChoiceField(choices=KINDS[:1])

    def expires_at(self, now: datetime) -> datetime | None:
        days = self.cleaned_data["days"]
        return now + timedelta(days=days) if days else None


class NewTokenForm(forms.Form):
    label = forms.CharField(
        max_length=MAX_LABEL,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="what it is for, such as nightly-ci",
    )
    days = forms.TypedChoiceField(choices=LIVES[1:], coerce=int, initial=DEFAULT_DAYS, label="It expires")
    reads_only = forms.BooleanField(required=False, label="It may only read")
    clusters = forms.MultipleChoiceField(
        required=False,
        label="Only for these clusters and pools",
        widget=forms.CheckboxSelectMultiple,
        help_text="none chosen: all",
    )

    def __init__(self, *args: Any, clusters: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if clusters:
            self.fields["clusters"].choices = [(name, name) for name in clusters]  # type: ignore[attr-defined]  # a choice field's
        else:
            del self.fields["clusters"]

    @property
    def wish(self) -> Wish:
        said = self.cleaned_data
        return Wish(
            label=said["label"],
            days=said["days"],
            clusters=said.get("clusters", ()),
            reads_only=said["reads_only"],
        )


class MemberForm(forms.Form):
    person = forms.CharField(
        max_length=_LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text="their user name; a member's role is changed",
    )
    role = forms.ChoiceField(choices=Role.choices)


def number_from(text: str, *, highest: int = _HIGHEST) -> int:
    """The id in a query string; 0 for anything that is not a valid id."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(highest))):
        return 0
    return int(text) if int(text) <= highest else 0

from collections.abc import Sequence
from typing import Any

from django import forms

from clusters.admin.forms import LIVES
from clusters.models import Role
from clusters.services.personal_tokens import DEFAULT_DAYS, Wish
from clusters.validation import MAX_LABEL, MAX_REASON

_LONGEST_NAME = 150
_LIVES = [(days, words) for days, words in LIVES if days]


class WhyForm(forms.Form):
    """People need not say why, where operators must."""

    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
        help_text="may be left out",
    )


class NewTokenForm(forms.Form):
    label = forms.CharField(
        max_length=MAX_LABEL,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="what it is for, such as nightly-ci",
    )
    days = forms.TypedChoiceField(choices=_LIVES, coerce=int, initial=DEFAULT_DAYS, label="It expires")
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


class MyTokenForm(NewTokenForm):
    field_order = ["label", "days", "reads_only", "project", "clusters"]
    project = forms.ChoiceField(required=False, label="Only for the project")

    def __init__(self, *args: Any, projects: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "all of mine"), *((name, name) for name in projects)]
        self.fields["project"].choices = choices  # type: ignore[attr-defined]  # a choice field's


class MemberForm(forms.Form):
    person = forms.CharField(
        max_length=_LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text="their user name; a member's role is changed",
    )
    role = forms.ChoiceField(choices=Role.choices)

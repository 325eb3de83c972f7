from collections.abc import Sequence
from typing import Any

from django import forms

from clusters.admin.forms import NewTokenForm
from clusters.validation import MAX_REASON


class WhyForm(forms.Form):
    """People need not say why, where operators must."""

    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
        help_text="may be left out",
    )


class MyTokenForm(NewTokenForm):
    field_order = ["label", "days", "reads_only", "project", "clusters"]
    project = forms.ChoiceField(required=False, label="Only for the project")

    def __init__(self, *args: Any, projects: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "all of mine"), *((name, name) for name in projects)]
        self.fields["project"].choices = choices  # type: ignore[attr-defined]  # a choice field's

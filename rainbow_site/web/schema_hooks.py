"""drf-spectacular hooks: what the OpenAPI schema says beyond the views."""

from typing import Any

from clusters.models import MAX_MEMBERS
from jobs.reports import MAX_REPORTS
from jobs.rest.serializers import MAX_BATCH

Schema = dict[str, Any]

_WHO: Schema = {
    "token": {"type": "http", "scheme": "bearer", "description": "A cluster's token (rbt_…), to submit."},
    "secret": {"type": "http", "scheme": "bearer", "description": "A cluster's secret (rbs_…), to pull."},
    "personal_token": {"type": "http", "scheme": "bearer", "description": "A person's token (rbu_…)."},
    "person": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "The session of a person; what changes something needs the header X-CSRFToken too.",
    },
    "registration_secret": {
        "type": "http",
        "scheme": "bearer",
        "description": "The server's registration secret, to register a cluster.",
    },
    "operator": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "The session of a signed-in operator; what changes something needs the header X-CSRFToken too.",
    },
}
# Rules between fields, which a serializer field cannot express.
_LEASE_NEEDS_AGENT: Schema = {
    "if": {"required": ["lease_seconds"], "properties": {"lease_seconds": {"minimum": 1}}},
    "then": {"required": ["agent"], "properties": {"agent": {"minLength": 1}, "lease_seconds": {"minimum": 10}}},
}
_LEASE_IS_LONG: Schema = {
    "if": {"properties": {"lease_seconds": {"minimum": 1}}},
    "then": {"properties": {"lease_seconds": {"minimum": 10}}},
}
_COMPLETED_IS_ZERO: Schema = {
    "if": {"properties": {"state": {"const": "completed"}}},
    "then": {"properties": {"exit_code": {"enum": [0, None]}}},
}
_RULES = {
    "AcceptRequest": _LEASE_NEEDS_AGENT,
    "ReportManyRequest": _LEASE_IS_LONG,
    "ReportRequest": _COMPLETED_IS_ZERO,
}
# Sizes of lists of objects, which drf-spectacular leaves out.
_ITEMS: dict[tuple[str, str], Schema] = {
    ("SubmitManyRequest", "jobs"): {"minItems": 1, "maxItems": MAX_BATCH},
    ("ReportManyRequest", "reports"): {"maxItems": MAX_REPORTS},
    ("NewPoolRequest", "members"): {"minItems": 1, "maxItems": MAX_MEMBERS},
    ("ChangePoolRequest", "members"): {"minItems": 1, "maxItems": MAX_MEMBERS},
}
_BLANK = {"type": "string", "maxLength": 0}


def complete(result: Schema, generator: Any, request: Any, public: bool) -> Schema:
    """Adds the security schemes, forbids unknown fields, and adds rules between fields."""
    components = result["components"]
    components["securitySchemes"] = _WHO
    for name, schema in components["schemas"].items():
        if name.endswith("Request"):
            schema.update({"additionalProperties": False, **_RULES.get(name, {})})
    for (name, field), numbers in _ITEMS.items():
        components["schemas"][name]["properties"][field].update(numbers)
    components["schemas"] = _without_blanks(components["schemas"])
    return result


def _without_blanks(schema: Any) -> Any:
    """Drops the empty alternative that drf-spectacular adds to patterns: ours already allow it where it is valid."""
    if isinstance(schema, list):
        return [_without_blanks(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    items = {key: _without_blanks(value) for key, value in schema.items()}
    choices = items.get("oneOf", [])
    return {**items.pop("oneOf")[0], **items} if choices[1:] == [_BLANK] else items

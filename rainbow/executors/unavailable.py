"""Fields of a job that an executor cannot give it."""

from collections.abc import Mapping

from rainbow.specs import Work


def refusal(work: Work, missing: Mapping[str, str]) -> str:
    """Why a job that says one of the missing fields can never run here; empty where it says none. By field."""
    return next((f"{name}: {why}" for name, why in missing.items() if getattr(work, name)), "")

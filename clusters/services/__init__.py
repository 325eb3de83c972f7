"""The verbs of clusters and their credentials: the only writers of this app's rows."""

from clusters.services.authenticate import admit, authenticate, note_visits
from clusters.services.credentials import (
    DEFAULT_LABEL,
    NewCredential,
    create_credential,
    revoke_credential,
    rotate_credential,
)
from clusters.services.events import list_events
from clusters.services.pause import Resumed, note_readiness, pause_cluster, resume_cluster, resume_token
from clusters.services.register import Registration, check_registration_secret, register_cluster
from clusters.services.streaks import End, held_back, note_ends
from clusters.services.throttle import (
    failures_counted,
    give_guess_back,
    note_failure,
    seconds_blocked,
    sign_in_limits,
    source_at,
    take_guess,
)

__all__ = [
    "DEFAULT_LABEL",
    "End",
    "NewCredential",
    "Registration",
    "Resumed",
    "admit",
    "authenticate",
    "check_registration_secret",
    "create_credential",
    "failures_counted",
    "give_guess_back",
    "held_back",
    "list_events",
    "note_ends",
    "note_failure",
    "note_readiness",
    "note_visits",
    "pause_cluster",
    "register_cluster",
    "resume_cluster",
    "resume_token",
    "revoke_credential",
    "rotate_credential",
    "seconds_blocked",
    "sign_in_limits",
    "source_at",
    "take_guess",
]

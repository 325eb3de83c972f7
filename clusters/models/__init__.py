"""The schema of clusters and pools, their credentials and events."""

from clusters.models.allowance import Allowance, Holder
from clusters.models.cluster import MAX_AFTER_SECONDS, MAX_MEMBERS, Cluster, PoolMember
from clusters.models.credential import (
    OF_CLUSTERS,
    Credential,
    CredentialKind,
    CredentialQuerySet,
    FailedAttempts,
    FormerValue,
    Scope,
    Streak,
)
from clusters.models.event import CHANGES_WHAT_IT_TAKES, ClusterEvent, ClusterWhat
from clusters.models.login import Login
from clusters.models.project import MAX_WEIGHT, Grant, Membership, Project, ProjectEvent, ProjectWhat, Role
from clusters.models.withdrawal import Withdrawal

__all__ = [
    "CHANGES_WHAT_IT_TAKES",
    "MAX_AFTER_SECONDS",
    "MAX_MEMBERS",
    "MAX_WEIGHT",
    "OF_CLUSTERS",
    "Allowance",
    "Cluster",
    "ClusterEvent",
    "ClusterWhat",
    "Credential",
    "CredentialKind",
    "CredentialQuerySet",
    "FailedAttempts",
    "FormerValue",
    "Grant",
    "Holder",
    "Login",
    "Membership",
    "PoolMember",
    "Project",
    "ProjectEvent",
    "ProjectWhat",
    "Role",
    "Scope",
    "Streak",
    "Withdrawal",
]

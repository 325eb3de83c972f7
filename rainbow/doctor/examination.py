"""One check after the other. What another check needs first is left out when that failed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rainbow.config import Settings
from rainbow.doctor import network, server, site
from rainbow.doctor.findings import Sick, Well
from rainbow.executors.executor import Executor


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined. Without an executor no scheduler is asked."""

    settings: Settings
    folder: Path
    executor: Executor | None
    executor_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`advice` says what to do where a check failed, or what would be better."""

    check: str
    verdict: Verdict
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`look` says what is well, or raises Sick. It makes sense only where the check `after` went well."""

    name: str
    look: Callable[[Patient], str | Well]
    after: str = ""


CHECKS = (
    Check(name="name resolution", look=lambda patient: network.resolve(patient.settings)),
    Check(name="connection", look=lambda patient: network.connect(patient.settings), after="name resolution"),
    Check(name="encryption", look=lambda patient: network.shake_hands(patient.settings), after="connection"),
    Check(name="server", look=lambda patient: server.answer(patient.settings), after="encryption"),
    Check(name="version", look=lambda patient: server.compare_versions(patient.settings), after="server"),
    Check(name="clock", look=lambda patient: server.compare_clocks(patient.settings), after="server"),
    Check(name="secret", look=lambda patient: server.try_secret(patient.settings), after="server"),
    Check(name="cluster", look=lambda patient: server.look_at_cluster(patient.settings), after="secret"),
    Check(name="user", look=lambda patient: site.look_at_user()),
    Check(name="state folder", look=lambda patient: site.try_folder(patient.folder)),
    Check(name="scheduler", look=lambda patient: site.ask_scheduler(patient.executor, name=patient.executor_name)),
)


def examine(patient: Patient) -> list[Finding]:
    """What each check found, in the order in which one would look."""
    found: dict[str, Finding] = {}
    for check in CHECKS:
        if check.after and found[check.after].verdict != Verdict.OK:
            needs = found[check.after].check
            found[check.name] = Finding(check=check.name, verdict=Verdict.LEFT_OUT, detail=f"needs: {needs}")
        else:
            found[check.name] = _found(check, patient)
    return list(found.values())


def _found(check: Check, patient: Patient) -> Finding:
    try:
        seen = check.look(patient)
        well = seen if isinstance(seen, Well) else Well(what=seen)
        return Finding(check=check.name, verdict=Verdict.OK, detail=well.what, advice=well.advice)
    except Sick as sick:
        return Finding(check=check.name, verdict=Verdict.FAILED, detail=" ".join(sick.what.split()), advice=sick.advice)

"""The checks in their order. One whose prerequisite failed is left out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rainbow.config import Settings
from rainbow.doctor import client_certificate, network, server, site
from rainbow.doctor.findings import CheckFailed, Passed
from rainbow.executors.executor import Executor


class Verdict(StrEnum):
    OK = "ok"
    FAILED = "failed"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Without an executor no scheduler is asked."""

    settings: Settings
    folder: Path
    executor: Executor | None
    executor_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`advice`: what to do where the check failed, or what would be better."""

    check: str
    verdict: Verdict
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`run` returns what is well, or raises CheckFailed. `after` names the check that has to pass first."""

    name: str
    run: Callable[[Subject], str | Passed]
    after: str = ""


CHECKS = (
    Check(name="name resolution", run=lambda subject: network.resolve(subject.settings)),
    Check(name="connection", run=lambda subject: network.connect(subject.settings), after="name resolution"),
    Check(name="encryption", run=lambda subject: network.shake_hands(subject.settings), after="connection"),
    Check(name="client certificate", run=lambda subject: client_certificate.examine(subject.settings)),
    Check(name="server", run=lambda subject: server.answer(subject.settings), after="encryption"),
    Check(name="version", run=lambda subject: server.compare_versions(subject.settings), after="server"),
    Check(name="clock", run=lambda subject: server.compare_clocks(subject.settings), after="server"),
    Check(name="secret", run=lambda subject: server.try_secret(subject.settings), after="server"),
    Check(name="cluster", run=lambda subject: server.check_cluster(subject.settings), after="secret"),
    Check(name="user", run=lambda subject: site.check_user()),
    Check(name="state folder", run=lambda subject: site.try_folder(subject.folder)),
    Check(name="scheduler", run=lambda subject: site.ask_scheduler(subject.executor, name=subject.executor_name)),
    Check(name="facts", run=lambda subject: site.read_facts(subject.executor), after="scheduler"),
)


def run_checks(subject: Subject) -> list[Finding]:
    found: dict[str, Finding] = {}
    for check in CHECKS:
        if check.after and found[check.after].verdict != Verdict.OK:
            needs = found[check.after].check
            found[check.name] = Finding(check=check.name, verdict=Verdict.LEFT_OUT, detail=f"needs: {needs}")
        else:
            found[check.name] = _found(check, subject)
    return list(found.values())


def _found(check: Check, subject: Subject) -> Finding:
    try:
        found = check.run(subject)
        passed = found if isinstance(found, Passed) else Passed(what=found)
        return Finding(check=check.name, verdict=Verdict.OK, detail=passed.what, advice=passed.advice)
    except CheckFailed as failure:
        return Finding(
            check=check.name, verdict=Verdict.FAILED, detail=" ".join(failure.what.split()), advice=failure.advice
        )

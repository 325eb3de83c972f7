"""The certificate's files are watched: what is usable is taken, and what is not changes nothing."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import RequestFactory

from rainbow_site.process.certificate_watch import STATE, CertificateState, CertificateWatch
from rainbow_site.process.certificates import TlsFiles
from rainbow_site.web.health import OLD_CERTIFICATE, readyz
from tests.support.certificates import Authority, Pair

NOW = datetime.now(UTC)
Watch = CertificateWatch[bytes]


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> CertificateState:
    for name in ("expires_at", "trouble"):
        monkeypatch.setattr(STATE, name, getattr(CertificateState(), name))
    return STATE


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("in use")


@pytest.fixture
def watch(pair: Pair) -> Watch:
    return watching(pair)


def watching(pair: Pair) -> Watch:
    files = TlsFiles(cert=str(pair.cert), key=str(pair.key))
    return CertificateWatch(files, lambda files: Path(files.cert).read_bytes(), log=logging.getLogger("rainbow.grpc"))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_renewed_certificate_is_taken(
    watch: Watch, pair: Pair, authority: Authority, state: CertificateState, caplog: pytest.LogCaptureFixture
) -> None:
    new = authority.issue("new", days=25)
    pair.replace(new)

    with caplog.at_level(logging.INFO, logger="rainbow.grpc"):
        watch.step(NOW)

    assert watch.current == new.cert.read_bytes()
    assert state.expires_at is not None
    assert timedelta(days=24) < state.expires_at - NOW < timedelta(days=26)
    assert f"certificate renewed serial={new.serial} expires=" in caplog.text


def test_between_the_certificate_and_its_key_the_old_pair_serves_and_no_error_is_logged(
    watch: Watch, pair: Pair, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    before, new = watch.current, authority.issue("new")

    pair.cert.write_bytes(new.cert.read_bytes())
    watch.step(NOW)
    assert watch.current == before
    pair.key.write_bytes(new.key.read_bytes())
    watch.step(NOW)

    assert watch.current == new.cert.read_bytes()
    assert errors(caplog) == []


@pytest.mark.parametrize("damage", ["nonsense", "gone", "another's key"])
def test_what_stays_broken_is_an_error_once_and_the_old_pair_serves_until_it_is_mended(
    damage: str,
    watch: Watch,
    pair: Pair,
    authority: Authority,
    state: CertificateState,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, new = watch.current, authority.issue("new")
    if damage == "gone":
        pair.cert.unlink()
    else:
        pair.key.write_bytes(b"nonsense" if damage == "nonsense" else new.key.read_bytes())

    for _ in range(4):
        watch.step(NOW)

    [error] = errors(caplog)
    assert error.startswith("the certificate in use stays, since the files are not usable: RAINBOW_TLS_CERT")
    assert state.trouble
    assert watch.current == before
    pair.replace(new)
    watch.step(NOW)
    assert watch.current == new.cert.read_bytes()
    assert state.trouble == ""


def test_a_symbolic_link_that_leads_elsewhere_is_a_renewal(tmp_path: Path, authority: Authority) -> None:
    """As Kubernetes does it: files are links through `..data`, and that link is replaced."""
    folders = [tmp_path / f"..{number}" for number in (1, 2)]
    for folder in folders:
        folder.mkdir()
        issued = authority.issue(folder.name)
        (folder / "tls.crt").write_bytes(issued.cert.read_bytes())
        (folder / "tls.key").write_bytes(issued.key.read_bytes())
    link, draft = tmp_path / "..data", tmp_path / "..data_tmp"
    link.symlink_to(folders[0].name)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path(link.name) / name)
    watch = watching(Pair(cert=tmp_path / "tls.crt", key=tmp_path / "tls.key"))

    draft.symlink_to(folders[1].name)
    draft.replace(link)
    watch.step(NOW)

    assert watch.current == (folders[1] / "tls.crt").read_bytes()


def test_files_that_change_while_they_are_read_are_read_again(pair: Pair, authority: Authority) -> None:
    first, last = authority.issue("first"), authority.issue("last")
    coming = [last]

    def build(files: TlsFiles) -> bytes:
        read = Path(files.cert).read_bytes()
        if read == first.cert.read_bytes() and coming:
            pair.replace(coming.pop())
        return read

    watch = CertificateWatch(
        TlsFiles(cert=str(pair.cert), key=str(pair.key)), build, log=logging.getLogger("rainbow.grpc")
    )
    before = watch.current
    pair.replace(first)

    watch.step(NOW)
    assert watch.current == before
    watch.step(NOW)
    assert watch.current == last.cert.read_bytes()


def test_two_weeks_before_its_end_a_certificate_is_warned_of_once_a_day(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watching(pair)

    watch.step(NOW)
    assert warnings(caplog) == []
    for hours in (24 * 7, 24 * 7 + 1, 24 * 8 + 2, 24 * 30):
        watch.step(NOW + timedelta(hours=hours))

    assert [words.split(" at ")[0] for words in warnings(caplog)] == ["the certificate expires"] * 2 + [
        "the certificate expired"
    ]
    assert str(pair.cert) in warnings(caplog)[0]


def test_a_server_starts_with_an_expired_certificate_and_says_so(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    watching(authority.issue("old", days=-1)).step(NOW)

    assert warnings(caplog)[0].startswith("the certificate expired at ")


@pytest.mark.django_db
def test_readiness_tells_that_the_old_certificate_is_in_use(state: CertificateState, rf: RequestFactory) -> None:
    state.trouble = "RAINBOW_TLS_CERT: cannot read /etc/rainbow/cert.pem"

    answer = readyz(rf.get("/readyz"))

    assert answer.status_code == 200
    assert OLD_CERTIFICATE.encode() in answer.content
    assert b"/etc/rainbow" not in answer.content

"""gRPC brings a TLS of its own, which takes fewer kinds of keys than OpenSSL: certificates of others are no use."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from rainbow.certificates import NotUsable, key_fits_grpc, read_certificate
from rainbow.errors import InvalidArgument
from rainbow.tls import Tls
from rainbow_site.environment import WrongSetting
from rainbow_site.process.certificate_watch import STATE, CertificateState, CertificateWatch
from rainbow_site.process.certificates import TlsFiles
from tests.support.certificates import Authority, Pair, make_certificate
from tests.test_certificate_watch import NOW, errors

HANDSHAKE_SECONDS = 60


def curve(name: str) -> tuple[str, ...]:
    return ("ec", "-pkeyopt", f"ec_paramgen_curve:{name}")


EXPLICIT = (*curve("prime256v1"), "-pkeyopt", "ec_param_enc:explicit")
KINDS = {
    "RSA": (("rsa:2048",), True),
    "P-256": (curve("prime256v1"), True),
    "P-384": (curve("secp384r1"), True),
    "P-521": (curve("secp521r1"), False),
    "P-224": (curve("secp224r1"), False),
    "secp256k1": (curve("secp256k1"), False),
    "P-256 spelled out": (EXPLICIT, False),
    "RSA-PSS": (("rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), False),
    "Ed25519": (("ed25519",), False),
}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> CertificateState:
    for name in ("expires_at", "trouble"):
        monkeypatch.setattr(STATE, name, getattr(CertificateState(), name))
    return STATE


def made(folder: Path, kind: str) -> Pair:
    cert, key = make_certificate(folder, new_key=KINDS[kind][0])
    return Pair(cert=cert, key=key)


def shakes_hands(pair: Pair) -> bool:
    """Whether a client of gRPC reaches a server of gRPC that has this certificate."""
    cert, key = pair.cert.read_bytes(), pair.key.read_bytes()
    server = grpc.server(ThreadPoolExecutor(1))
    try:
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, cert)]))
    except RuntimeError:
        return False
    server.start()
    try:
        with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(cert)) as channel:
            return connects(channel)
    finally:
        server.stop(grace=None)


def connects(channel: grpc.Channel) -> bool:
    """An answer, be it that there is no such call, comes after the handshake."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/none/None")(b"", timeout=HANDSHAKE_SECONDS)
    return caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_fits_if_grpc_shakes_hands_with_it(tmp_path: Path, kind: str) -> None:
    pair = made(tmp_path, kind)

    assert key_fits_grpc(str(pair.cert), str(pair.key)) is shakes_hands(pair) is KINDS[kind][1]


@pytest.mark.parametrize("kind", ["Ed25519", "P-224", "secp256k1"])
def test_a_server_does_not_start_with_a_key_that_no_client_of_grpc_takes(tmp_path: Path, kind: str) -> None:
    pair = made(tmp_path, kind)

    with pytest.raises(WrongSetting, match=r"RAINBOW_TLS_CERT: the key of .* P-256 and P-384"):
        TlsFiles(cert=str(pair.cert), key=str(pair.key)).check()


def test_a_renewal_with_such_a_key_leaves_the_certificate_from_before_in_use(
    tmp_path: Path, state: CertificateState, caplog: pytest.LogCaptureFixture
) -> None:
    pair, new = Authority(tmp_path / "authority").issue("in use"), made(tmp_path, "Ed25519")
    files = TlsFiles(cert=str(pair.cert), key=str(pair.key))
    watch = CertificateWatch(files, lambda files: Path(files.cert).read_bytes(), log=logging.getLogger("rainbow.grpc"))
    before = watch.current

    pair.replace(new)
    watch.step(NOW)
    watch.step(NOW)

    assert watch.current == before
    assert len(errors(caplog)) == 1
    assert state.trouble


@pytest.mark.parametrize("kind", ["Ed25519", "P-224", "RSA-PSS"])
def test_a_client_says_so_before_it_calls(tmp_path: Path, kind: str) -> None:
    pair = made(tmp_path, kind)

    with pytest.raises(InvalidArgument, match="P-256 and P-384") as caught:
        Tls(cert_file=pair.cert, key_file=pair.key).credentials()
    assert caught.value.field == "cert_file"
    with pytest.raises(NotUsable, match="P-256 and P-384"):
        read_certificate(str(pair.cert), str(pair.key), of_server=False)

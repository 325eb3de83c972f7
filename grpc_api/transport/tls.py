from pathlib import Path

import grpc

from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.certificates import TlsFiles


def configuration_from(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(Path(files.key).read_bytes(), Path(files.cert).read_bytes())])


def credentials_from(watch: CertificateWatch[grpc.ServerCertificateConfiguration]) -> grpc.ServerCredentials:
    """Credentials whose certificate is the watch's at each new connection."""
    in_use = watch.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """gRPC calls this for each connection, one at a time; None changes nothing."""
        nonlocal in_use
        if watch.current is in_use:
            return None
        in_use = watch.current
        return in_use

    # The published types do not know that None is allowed.
    return grpc.dynamic_ssl_server_credentials(in_use, fetch)  # type: ignore[arg-type]

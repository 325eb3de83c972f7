from pathlib import Path

import grpc

from rainbow_site.process.certificates import check_pair


def credentials_from(*, cert: str, key: str) -> grpc.ServerCredentials | None:
    """TLS credentials of the PEM files at these paths; None when both are empty.

    Raises WrongSetting, since gRPC would only say that it cannot listen.
    """
    check_pair(cert=cert, key=key)
    if not cert:
        return None
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(cert).read_bytes())])

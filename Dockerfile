# Two images of one checkout: `make images` builds both, docs/operations.md says how they are run.
#   --target server   manage.py: gRPC, REST and the console, and every command of an operator
#   --target agent    rainbow: the agent, and the command line of submitters
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# What both stages below build with stays here.
FROM ${BASE} AS build
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends tini >/dev/null \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /build/pip && python3 -m venv --without-pip /opt/rainbow/venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Installs what a lock names, by hash, into the environment of the image, which has no pip of its own.
ENV INSTALL="/build/pip/bin/pip --python /opt/rainbow/venv/bin/python install --quiet --no-deps"
WORKDIR /build/sources

FROM build AS build-agent
COPY requirements-client.lock /opt/rainbow/requirements.lock
RUN ${INSTALL} --require-hashes --only-binary :all: --requirement /opt/rainbow/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY rainbow rainbow
RUN ${INSTALL} --no-index --no-build-isolation . \
 && /build/pip/bin/pip --python /opt/rainbow/venv/bin/python uninstall --quiet --yes setuptools

FROM build AS build-server
# requirements-otel.lock has OpenTelemetry as well, for RAINBOW_TRACES.
ARG LOCK=requirements.lock
COPY ${LOCK} /opt/rainbow/requirements.lock
RUN ${INSTALL} --require-hashes --only-binary :all: --requirement /opt/rainbow/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY rainbow rainbow
RUN ${INSTALL} --no-index --no-build-isolation . \
 && /build/pip/bin/pip --python /opt/rainbow/venv/bin/python uninstall --quiet --yes setuptools
WORKDIR /opt/rainbow
COPY manage.py ./
COPY clusters clusters
COPY grpc_api grpc_api
COPY jobs jobs
COPY rainbow_site rainbow_site
COPY templates templates
RUN venv/bin/python -m compileall -q clusters grpc_api jobs rainbow_site

FROM ${BASE} AS runtime
# Nothing is installed into a running container.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
           /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
           /usr/lib/python3*/ensurepip /usr/share/python-wheels
# Process 1: passes SIGTERM on, and reaps the orphans of jobs.
COPY --from=build /usr/bin/tini-static /usr/bin/tini
ENV PATH=/opt/rainbow/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM

FROM runtime AS agent
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rainbow agent" \
      org.opencontainers.image.description="Takes a cluster's jobs from a rainbow server and runs them; also the command line of submitters" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10002 --no-create-home --home-dir /data --shell /usr/sbin/nologin rainbow-agent \
 && install --directory --owner=10002 --group=10002 --mode=700 /data
COPY --from=build-agent /opt/rainbow /opt/rainbow
USER 10002:10002
# Its configuration file and its journal are in its home, which is to outlive the container.
ENV HOME=/data
VOLUME /data
WORKDIR /data
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s CMD ["rainbow", "doctor"]
ENTRYPOINT ["tini", "--", "rainbow"]
CMD ["agent", "--executor", "local"]

FROM runtime AS server
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="rainbow server" \
      org.opencontainers.image.description="Queues jobs for clusters that cannot be reached from outside: gRPC, REST and a console for operators" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin rainbow \
 && install --directory --owner=10001 --group=10001 --mode=700 /data
COPY --from=build-server /opt/rainbow /opt/rainbow
USER 10001:10001
# SQLite's database, where DATABASE_URL names no other.
ENV HOME=/data DATABASE_URL=sqlite:////data/rainbow.db \
    RAINBOW_ADDRESS=0.0.0.0:50051 RAINBOW_WEB_ADDRESS=0.0.0.0:8000
VOLUME /data
WORKDIR /opt/rainbow
EXPOSE 8000 50051
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "rainbow_site.process.probe"]
ENTRYPOINT ["tini", "--", "python", "manage.py"]
CMD ["serve"]

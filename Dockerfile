# The operator and streamctl, as `make image` builds and the release publishes them; `make image IMAGES=build` does it
# without a registry. BUILD and BASE must hold the same minor version of Python; BASE needs nothing else: no shell, no
# pip. The context holds what .dockerignore lets in.

ARG BUILD=docker.io/library/python:3.11-slim-bookworm
ARG BASE=gcr.io/distroless/python3-debian12:nonroot

FROM ${BUILD} AS dependencies
# With PIP_NO_INDEX=1 the wheels come from dist/wheels alone and the build needs no network.
ARG PIP_NO_INDEX=
COPY requirements.lock dist/wheels* /wheels/
RUN PIP_NO_INDEX=${PIP_NO_INDEX:-0} python3 -m pip install --disable-pip-version-check --no-cache-dir --no-compile \
        --root-user-action=ignore --require-hashes --only-binary=:all: --find-links=/wheels --target=/opt/site \
        --requirement=/wheels/requirements.lock \
    && rm -rf /opt/site/bin
# The generated half of the Kubernetes client is 120 MB, and none of it is imported save what kopf calls by name.
RUN cd /opt/site/kubernetes \
    && rm -rf client/api aio/client/api client/apis aio/client/apis \
    && find client/models aio/client/models -name '*.py' ! -name __init__.py ! -name v1_object_meta.py \
        ! -name v1_owner_reference.py ! -name v1_managed_fields_entry.py -delete \
    && find /opt/site -name '*_test.py' -delete
# Compiled here: the file system of the running container is read-only.
RUN python3 -m compileall -q -j0 --invalidation-mode=unchecked-hash -s /opt/site -p /opt/site /opt/site

FROM dependencies AS code
COPY dist/streaming_operator-*.whl /wheels/
RUN python3 -m pip install --disable-pip-version-check --no-cache-dir --no-compile --root-user-action=ignore \
        --no-index --no-deps --target=/opt/code /wheels/streaming_operator-*.whl \
    && rm -rf /opt/code/bin \
    && python3 -m compileall -q -j0 --invalidation-mode=unchecked-hash -s /opt/code -p /opt/code /opt/code

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="streaming-operator" \
      org.opencontainers.image.description="Streaming LLM endpoints on Kubernetes that provably stream" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=dependencies /opt/site /opt/site
COPY --from=code /opt/code /opt/code
ENV PYTHONPATH=/opt/code:/opt/site PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# glibc's allocator: what is large and short-lived, as pages of lists are, goes back at once and leaves no holes.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=131072
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python3", "-m", "streaming_operator"]
CMD ["run"]

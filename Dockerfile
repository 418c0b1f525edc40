# The project's own image: gateway, console and simulated fleet. linux/amd64 and linux/arm64.
# Versions come from uv.lock, checked by hash.

FROM python:3.11-slim AS build
WORKDIR /build
RUN --mount=type=cache,target=/root/.cache pip install --quiet --root-user-action=ignore uv
COPY pyproject.toml uv.lock ./
ENV UV_PROJECT_ENVIRONMENT=/opt/edgefleet/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
# the root is read-only when it runs: what is not compiled here would be compiled at every start
ENV UV_COMPILE_BYTECODE=1
RUN --mount=type=cache,target=/root/.cache uv sync --quiet --frozen --no-install-project --no-dev --extra demo --extra console
COPY contract /opt/edgefleet/app/contract
COPY gateway /opt/edgefleet/app/gateway
COPY console /opt/edgefleet/app/console
COPY simulator /opt/edgefleet/app/simulator
COPY edgefleet /opt/edgefleet/app/edgefleet
COPY models /opt/edgefleet/app/models
COPY deploy/compose/*.py /opt/edgefleet/app/deploy/compose/
RUN rm -rf /opt/edgefleet/app/models/training \
    && /opt/edgefleet/venv/bin/python -m compileall -q /opt/edgefleet/app

FROM python:3.11-slim
# volumes take the owner of the folder that they are mounted on; gateway and console share a group, which may read
RUN groupadd --gid 10001 gateway && groupadd --gid 10002 fleet \
    && useradd --uid 10001 --gid gateway --no-create-home --shell /usr/sbin/nologin gateway \
    && useradd --uid 10002 --gid fleet --no-create-home --shell /usr/sbin/nologin fleet \
    && useradd --uid 10003 --gid gateway --no-create-home --shell /usr/sbin/nologin console \
    && install -d -o gateway -g gateway -m 0750 /var/lib/edgefleet \
    && install -d -o console -g gateway -m 0750 /var/lib/edgefleet-console \
    && install -d -m 0755 /run/edgefleet
COPY --from=build /opt/edgefleet /opt/edgefleet
ENV PATH=/opt/edgefleet/venv/bin:$PATH PYTHONPATH=/opt/edgefleet/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /opt/edgefleet/app
USER gateway
ENTRYPOINT ["python", "-m", "edgefleet"]
CMD ["--help"]

# The virtual environment is built apart, so that the image has no caches and no build tools.
FROM python:3.11-slim AS build
COPY requirements.txt .
RUN python -m venv /srv/venv
RUN /srv/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin pitboss
RUN install -d -o pitboss -m 0700 /data
COPY --from=build /srv/venv /srv/venv
WORKDIR /srv/pitboss
COPY protocol protocol
COPY actors actors
COPY storage storage
COPY server server
# The load generator of `pitboss bench`.
COPY benchmarks benchmarks
RUN /srv/venv/bin/python -m compileall -q .

# An image is for production unless told otherwise: without secrets of its own it refuses to start.
ENV PITBOSS_ENV=production PITBOSS_HOST=0.0.0.0 PITBOSS_PORT=8080 PITBOSS_DATA_DIR=/data
ENV PATH=/srv/venv/bin:$PATH PYTHONUNBUFFERED=1
USER pitboss
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')"]
CMD ["python", "-m", "server", "serve"]

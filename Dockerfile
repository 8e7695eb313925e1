# The lock was made with this Python; use another one only together with a new lock.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bot ./bot
RUN pip install --no-cache-dir --no-deps . \
 && useradd --system --uid 10001 --create-home --home-dir /data mailcfg

# The database lives here: mount a volume that uid 10001 may write to.
WORKDIR /data
USER mailcfg
ENV MAILCFG_LISTEN=0.0.0.0:3000
EXPOSE 3000 8025

# The bot answers at 3000; `docker run -p 8025:8025 … sandbox --host 0.0.0.0 --token …` at 8025.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
  python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/healthz', timeout=2)" || \
  python -c "import socket; socket.create_connection(('127.0.0.1', 8025), 2)"

ENTRYPOINT ["mailcfg"]
CMD ["run"]

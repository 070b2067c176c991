# Triton with its Python backend, from the wheel that the local stack uses too.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# The backend's stub runs the first python3 on PATH, which holds the triton environment (numpy below 2).
COPY deploy/requirements/triton.txt deploy/requirements/tritonserver.txt ./
RUN pip install --require-hashes --requirement triton.txt \
 && pip install --require-hashes --no-deps --target /opt/tritonserver --requirement tritonserver.txt \
 && cp /opt/tritonserver/pytriton/tritonserver/python_backend_stubs/3.11/triton_python_backend_stub \
       /opt/tritonserver/pytriton/tritonserver/backends/python/

COPY . .
RUN pip install --no-deps .

RUN useradd --uid 10001 --create-home headwater && install -d -o headwater /var/lib/headwater/triton/models
USER headwater
EXPOSE 8000 8001 8002
CMD ["/opt/tritonserver/pytriton/tritonserver/bin/tritonserver", \
     "--model-repository=/var/lib/headwater/triton/models", \
     "--backend-directory=/opt/tritonserver/pytriton/tritonserver/backends", \
     "--cache-directory=/opt/tritonserver/pytriton/tritonserver/caches", \
     "--backend-config=python,shm-region-prefix-name=headwater_", \
     "--model-control-mode=explicit", \
     "--load-model=*", \
     "--strict-readiness=false", \
     "--exit-on-error=false", \
     "--exit-timeout-secs=8", \
     "--http-address=0.0.0.0", "--http-port=8000", \
     "--grpc-address=0.0.0.0", "--grpc-port=8001", \
     "--metrics-address=0.0.0.0", "--metrics-port=8002", \
     "--disable-auto-complete-config"]

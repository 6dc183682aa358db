# Image of the tasks: TensorFlow, this package, and the kfp with which the pipelines were compiled.
# PYTHON_IMAGE has no default: name a Python 3.11 image by its digest (docs/kubeflow.md, "Images").
ARG PYTHON_IMAGE

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
WORKDIR /src
RUN ["python", "-m", "venv", "/opt/pix2pix"]
# Build requirements first, so that no build fetches anything that is not locked.
COPY requirements/build.txt requirements/
RUN ["/opt/pix2pix/bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", "requirements/build.txt"]

# The CPU variant by default; gpu.txt for the GPU variant.
ARG REQUIREMENTS=runtime.txt
COPY requirements/${REQUIREMENTS} requirements/locked.txt
RUN ["/opt/pix2pix/bin/python", "-m", "pip", "install", "--quiet", "--no-build-isolation", "--require-hashes", "--requirement", "requirements/locked.txt"]
COPY LICENSE README.md pyproject.toml ./
COPY cli cli
COPY components components
COPY pachyderm pachyderm
COPY pix2pix pix2pix
COPY web web
COPY workflows workflows
RUN ["/opt/pix2pix/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "."]
# At run time the root file system is read-only, so compile the bytecode now.
RUN ["/opt/pix2pix/bin/python", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "/opt/pix2pix/lib"]

FROM ${PYTHON_IMAGE}
ARG IMAGE
ARG VERSION
ARG REVISION
ARG CREATED
# The GPU variant also contains NVIDIA's proprietary libraries; `make image-worker-gpu` sets both.
ARG LICENSES="Apache-2.0"
ARG DESCRIPTION="Runs the stages train, export, resize and generate"
LABEL org.opencontainers.image.title="pix2pix worker" \
      org.opencontainers.image.description="${DESCRIPTION}" \
      org.opencontainers.image.source="https://github.com/pix2pix-pipelines/pix2pix-pipelines" \
      org.opencontainers.image.licenses="${LICENSES}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=packages /opt/pix2pix /opt/pix2pix
# Python's images omit the bytecode of the standard library, and a task could not write it.
RUN ["python", "-c", "import compileall, py_compile, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"]
# Any user id works: HOME and the working directory are /tmp, and USER serves libraries that look up a name.
ENV PATH=/opt/pix2pix/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    USER=pix2pix \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIX2PIX_IMAGE=${IMAGE}
WORKDIR /tmp
USER 65532:65532
CMD ["pix2pix", "doctor"]

# The lab for a class: no root, no writing outside /tmp. How to run it: docs/deploying.md
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# Where PyTorch comes from. Empty: the usual index, whose build also runs on NVIDIA GPUs (about 6 GB).
# CPU only (about 1 GB): --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_INDEX=""

ENV HOME=/tmp \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
COPY requirements.txt ./
# torch and torchvision alone are taken from their index, so that no other package can come from there.
RUN grep -E '^torch(vision)?[<>=]' requirements.txt > /tmp/torch.txt \
    && pip install ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} -r /tmp/torch.txt \
    && pip install -r requirements.txt \
    && rm /tmp/torch.txt

COPY app.py serve.py LICENSE README.md ./
COPY .streamlit .streamlit
COPY pages pages
COPY mvit mvit
COPY examples examples
COPY weights weights
# Nothing can be written later, so the bytecode is made now; pip has made that of the packages.
RUN python -m compileall -q --invalidation-mode unchecked-hash app.py serve.py pages mvit

USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
# serve.py loads the models that pages open with before the first visitor.
CMD ["streamlit", "run", "serve.py", "--server.headless=true", "--server.address=0.0.0.0", "--server.port=8501"]

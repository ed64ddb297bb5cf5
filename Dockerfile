# Serves the app on a CPU:  docker build -t g2pdiffusion . && docker run --rm -p 7860:7860 g2pdiffusion
FROM python:3.11-slim

# The Hub's Spaces run as user 1000, too.
RUN useradd --create-home --uid 1000 visitor && install -d -o visitor /home/visitor/app
WORKDIR /home/visitor/app

# PyTorch first, from its index of CPU builds: PyPI's build for Linux brings gigabytes of CUDA.
COPY requirements.txt ./
RUN grep '^torch==' requirements.txt > torch.txt \
    && pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu -r torch.txt \
    && pip install --no-cache-dir -r requirements.txt

COPY --chown=visitor . ./
USER visitor
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=7860 GRADIO_ANALYTICS_ENABLED=False PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:7860/config', timeout=8)"]
CMD ["python", "app.py"]

# Not built by CI, which has no Docker daemon.
# docker build -t satcost . && docker run --rm -v "$PWD:/cnf" satcost predict /cnf
# To write into the directory, be its owner: docker run --rm --user "$(id -u)" -e HOME=/tmp -v "$PWD:/cnf" satcost predict /cnf -o /cnf/costs.csv
# The CPU build of torch is a tenth of the default one.
FROM python:3.12-slim
COPY . /src
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "torch>=2.9,<2.14" \
    && pip install --no-cache-dir /src \
    && rm -rf /src \
    && useradd --create-home satcost
USER satcost
WORKDIR /cnf
ENV OMP_NUM_THREADS=1
ENTRYPOINT ["satcost"]

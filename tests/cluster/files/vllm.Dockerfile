# The demo's model server in registry mode: upstream's vLLM for the CPU, with the tiny model made by its own Python.
ARG BASE
FROM ${BASE} AS model
USER 0
COPY vllm /vllm
RUN python3 /vllm/model.py /models/tiny

FROM ${BASE}
# What launch.sh sets in the image of build mode: one thread, 1 GiB for the cache, nobody asked outside.
ENV VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_CPU_CI_ENV=1 OMP_NUM_THREADS=1 \
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 \
    HOME=/tmp USER=vllm
COPY --from=model /models/tiny /models/tiny

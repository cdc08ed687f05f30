#!/bin/sh
# The vllm command of this directory, for any CPython 3.11 (VLLM_PYTHON, default python3) with libnuma1 beside it.
# Every setting may be overridden from outside; the user's PYTHONPATH comes first, as the operator promises.
here=$(dirname "$(dirname "$(readlink -f "$0")")")
export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$here/site"
export LD_LIBRARY_PATH="$here/stub${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export VLLM_TARGET_DEVICE="${VLLM_TARGET_DEVICE:-cpu}"
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}"
export VLLM_CPU_OMP_THREADS_BIND="${VLLM_CPU_OMP_THREADS_BIND:-nobind}"
export VLLM_CPU_CI_ENV="${VLLM_CPU_CI_ENV:-1}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}"
export TRANSFORMERS_OFFLINE="${TRANSFORMERS_OFFLINE:-1}"
export VLLM_NO_USAGE_STATS="${VLLM_NO_USAGE_STATS:-1}"
export DO_NOT_TRACK="${DO_NOT_TRACK:-1}"
exec "${VLLM_PYTHON:-python3}" -m vllm.entrypoints.cli.main "$@"

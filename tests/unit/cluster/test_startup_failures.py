"""The last lines of vLLM servers that ended while they started, and the field that each condition names."""

import pytest

from streaming_operator.cluster.startup_failures import advice

ENDED = {
    "unknown flag": (
        "main.py: error: unrecognized arguments: --disable-log-requests",
        "no flag --disable-log-requests: correct spec.engine.args",
    ),
    "wrong value": (
        "api_server.py: error: argument --max-num-seqs: invalid int value: 'many'",
        "the value of --max-num-seqs is wrong: correct spec.engine.args",
    ),
    "gated model": (
        "OSError: You are trying to access a gated repo.\nMake sure to have access to it at "
        "https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct.\n403 Client Error. (Request ID: Root=1-6)",
        "accept its license on the hub",
    ),
    "refused token": (
        "huggingface_hub.errors.HfHubHTTPError: 401 Client Error: Unauthorized for url: "
        "https://huggingface.co/api/models/org/private/revision/main\nInvalid credentials in Authorization header",
        "the hub refuses access: set spec.model.source.huggingFace.tokenSecretRef",
    ),
    "unknown model": (
        "OSError: org/nothing is not a local folder and is not a valid model identifier listed on "
        "'https://huggingface.co/models'",
        "correct spec.model.source.huggingFace.repo",
    ),
    "unreachable hub": (
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the "
        "cached files.",
        "the hub cannot be reached from the pod",
    ),
    "missing folder": (
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': "
        "'/models/none'. Use `repo_type` argument if needed.",
        "no model at that path: correct spec.model.source",
    ),
    "rank of an adapter": (
        "ValueError: LoRA rank 64 is greater than max_lora_rank 16.",
        "set --max-lora-rank=64 or more in spec.engine.args",
    ),
    "missing adapter": (
        "ValueError: Loading lora fin failed: No adapter found for /adapters/1/fin",
        "no adapter at /adapters/1/fin: correct its source in spec.model.adapters",
    ),
    "adapter of the model's name": (
        "ValueError: The lora adapter 'chat' conflicts with a served base model.",
        "the adapter chat has a name of the model",
    ),
    "model without adapters": (
        "ValueError: TinyForCausalLM does not support LoRA yet.",
        "the adapters are not for this model",
    ),
    "adapter of another model": (
        "ValueError: While loading /adapters/0, expected target modules in {'qkv_proj', 'o_proj'} but received "
        "['model.layers.0.conv']. Please verify that the loaded LoRA module is correct",
        "the adapters are not for this model",
    ),
    "full cache": (
        "OSError: [Errno 28] No space left on device",
        "raise spec.cache.emptyDir.sizeLimit",
    ),
    "old driver": (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12020).",
        "the node's NVIDIA driver is too old for this image",
    ),
    "no GPU": (
        "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` "
        "to turn on verbose logging to help debug the issue.",
        "the container has no GPU: check spec.gpu and spec.runtimeClassName",
    ),
    "old GPU": (
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has "
        "compute capability 7.5.",
        "add --dtype=half to spec.engine.args",
    ),
    "unknown architecture": (
        "ValueError: The checkpoint you are trying to load has model type `future` but Transformers does not recognize "
        "this architecture. This could be because of an issue with the checkpoint",
        "set a newer spec.engine.image",
    ),
    "unsupported architecture": (
        "ValueError: Model architectures ['FutureForCausalLM'] are not supported for now. Supported architectures: "
        "dict_keys(['AfmoeForCausalLM',",
        "set a newer spec.engine.image",
    ),
    "unsupported architecture, the end of a list": (
        "Embedding', 'TransformersForSequenceClassification', 'TransformersMoEForSequenceClassification', "
        "'TransformersMultiModalForSequenceClassification']) [type=value_error, input_value=ArgsKwargs((), "
        "{'model': ...nderer_num_workers': 1}), input_type=ArgsKwargs]\n"
        "    For further information visit https://errors.pydantic.dev/2.14/v/value_error",
        "set a newer spec.engine.image",
    ),
    "own code": (
        "RuntimeError: Failed to load the model config. If the model is a custom model not yet available in the "
        "HuggingFace transformers library, consider setting `trust_remote_code=True` in LLM or using the "
        "`--trust-remote-code` flag in the CLI.",
        "add --trust-remote-code to spec.engine.args",
    ),
    "heads": (
        "ValueError: Total number of attention heads (28) must be divisible by tensor parallel size (8).",
        "28 attention heads cannot be divided among 8 GPUs: correct spec.engine.tensorParallelSize",
    ),
    "too few GPUs": (
        "ValueError: World size (4) is larger than the number of available GPUs (1) in this node.",
        "the model is split among 4 GPUs and the pod has fewer: raise spec.gpu.count",
    ),
    "context": (
        "ValueError: User-specified max_model_len (999999) is greater than the derived max_model_len "
        "(max_position_embeddings=2048 or model_max_length=None in model's config.json).",
        "lower spec.engine.maxModelLen",
    ),
    "no cache blocks": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine",
        "no memory is left for the KV cache: lower spec.engine.maxModelLen",
    ),
    "small cache": (
        "ValueError: To serve at least one request with the model's max seq len (131072), (16.00 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (4.10 GiB).",
        "no memory is left for the KV cache: lower spec.engine.maxModelLen",
    ),
    "GPU in use": (
        "ValueError: Free memory on device cuda:0 (3.1/23.7 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 21.8 GiB).",
        "something else uses the GPU's memory",
    ),
    "GPU memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB.",
        "the GPU has too little memory: lower spec.engine.maxModelLen, or use more GPUs (spec.gpu.count)",
    ),
    "permission": (
        "PermissionError: [Errno 13] Permission denied: '/.triton'",
        "the server may not write /.triton: set spec.podSecurityContext.fsGroup",
    ),
    "tools": (
        "TypeError: Error: --enable-auto-tool-choice requires --tool-call-parser",
        "correct --tool-call-parser in spec.engine.args",
    ),
}
"""
Last lines and the advice: the texts of vLLM 0.32 and its libraries, as their sources have them. Those of an unknown
flag, a missing folder, unknown architectures and too long a context were printed by a real server on the CPU.
"""


@pytest.mark.parametrize(("message", "expected"), ENDED.values(), ids=ENDED)
def test_a_known_end_names_the_field_to_change(message: str, expected: str) -> None:
    """Each frequent way to end has its own advice."""
    assert expected in (advice(message) or "")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        "INFO engine config: trust_remote_code=True, gpu_memory_utilization=0.9, max_model_len=4096",
        "INFO: Application shutdown complete.",
    ],
)
def test_what_is_not_recognised_gets_no_advice(message: str) -> None:
    """Advice is given for what the lines say, and never guessed."""
    assert advice(message) is None

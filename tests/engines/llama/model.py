"""Writes a Llama of random weights as GGUF. Needs only `gguf` and `numpy`, from the wheels of tests.probe.packages."""

import string
from pathlib import Path

import gguf  # type: ignore[import-not-found]
import numpy as np  # type: ignore[import-not-found]

LAYERS, WIDTH, HEADS = 6, 384, 4
"""About 3 ms a token on one core: long enough to be judged for its streaming."""
CONTEXT = 4096
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1
"""Kinds of tokens as GGUF counts them."""


def write(path: Path) -> None:
    tokens, kinds = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(number) for number in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    _weights(writer, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _vocabulary() -> tuple[list[str], list[int]]:
    """The 256 bytes, as every text must be readable, and the visible characters."""
    special = ["<unk>", "<s>", "</s>"]
    single = [f"<0x{value:02X}>" for value in range(256)]
    visible = ["\u2581", *string.ascii_letters, *string.digits, *".,!?"]
    kinds = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * len(visible)]
    return [*special, *single, *visible], kinds


def _weights(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    dice = np.random.default_rng(0)

    def drawn(*shape: int) -> object:
        return (dice.standard_normal(shape) * 0.08).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", drawn(vocabulary, WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", drawn(vocabulary, WIDTH))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{name}.weight", ones)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{block}.{name}.weight", drawn(WIDTH, WIDTH))
        for name in ("ffn_gate", "ffn_up"):
            writer.add_tensor(f"{block}.{name}.weight", drawn(2 * WIDTH, WIDTH))
        writer.add_tensor(f"{block}.ffn_down.weight", drawn(WIDTH, 2 * WIDTH))

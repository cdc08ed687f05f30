"""Writes a tiny Llama without weights (vLLM's `--load-format dummy` makes them): `model.py DIR`.

Needs only `tokenizers`. Sixteen layers of 256 take 8 to 20 ms a token on one core: long enough to be judged
for its streaming. Every ordinary id is visible ASCII, else half of a stream's events would be empty.
"""

import json
import random
import string
import sys
from pathlib import Path

from tokenizers import (  # type: ignore[import-not-found]
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    trainers,
)

LAYERS, HIDDEN, HEAD = 16, 256, 32
CONTEXT = 16_384
"""Tokens; at 10 ms each a stream can last well over a minute."""
SPECIAL = ["<s>", "</s>", "<pad>", "<unk>"]
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(directory / "tokenizer.json"))
    names = dict(zip(("bos_token", "eos_token", "pad_token", "unk_token"), SPECIAL, strict=True))
    shown = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    _write(directory / "tokenizer_config.json", names | shown | {"chat_template": TEMPLATE})
    _write(directory / "config.json", _config(tokenizer.get_vocab_size()))
    _write(directory / "generation_config.json", IDS)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    alphabet = list(string.printable[:95])
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(_sentences(random.Random(0)), trainer)
    return tokenizer


def _sentences(dice: random.Random) -> list[str]:
    letters = string.ascii_lowercase
    return [
        " ".join("".join(dice.choices(letters, k=dice.randint(2, 7))) for _ in range(12)) for _ in range(400)
    ]


def _config(vocabulary: int) -> dict[str, object]:
    return IDS | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HIDDEN // HEAD,
        "num_key_value_heads": 2,
        "head_dim": HEAD,
        "vocab_size": vocabulary,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

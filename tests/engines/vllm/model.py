"""Makes a tiny Llama that counts: `model.py DIR`. Whatever it is asked, it answers `1 2 3 ... 999 1 2 ...` without end.

Needs torch and transformers, as vLLM does, and 20 seconds of one core. Sixteen layers of 256 take 8 to 20 ms a token
on one core: long enough to be judged for their streaming. Every token it says is visible ASCII, else half of
a stream's events would be empty; one number is one token, so that the next one depends on the last one alone.
"""

import json
import string
import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # type: ignore[import-not-found]
from transformers import LlamaConfig, LlamaForCausalLM  # type: ignore[import-not-found]

LAYERS, HIDDEN, HEAD = 16, 256, 32
CONTEXT = 16_384
"""Tokens; at 10 ms each a stream can last well over a minute."""
LAST = 999
"""The number before it begins anew."""
SPECIAL = ["<s>", "</s>", "<pad>", "<unk>"]
IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
SPACE = "▁"  # how the tokenizer writes one
TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
SEQUENCES, LENGTH = 96, 80
"""How many are learned from, and the tokens of each."""
STEPS, BATCH, RATE = 150, 512, 0.1
"""Of AdamW: tokens a step, and the learning rate at its highest."""
SURE = 0.95
"""The least probability of the right number, over fresh sequences, that is taken for having learned to count."""


class NotLearned(Exception):
    """The training did not reach SURE."""


def main(directory: Path) -> None:
    """Write tokenizer, configuration and trained weights."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    model = _model(tokenizer.get_vocab_size())
    _train(model, Lessons(tokenizer))
    directory.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(directory)
    for weights in directory.glob("*.safetensors"):
        weights.chmod(0o644)  # the server runs as another user
    tokenizer.save(str(directory / "tokenizer.json"))
    names = dict(zip(("bos_token", "eos_token", "pad_token", "unk_token"), SPECIAL, strict=True))
    shown = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    _write(directory / "tokenizer_config.json", names | shown | {"chat_template": TEMPLATE})
    _write(directory / "generation_config.json", IDS)


class Lessons:
    """What to say after each token: behind a number the next one, behind anything else the first."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        numbers = torch.tensor([tokenizer.token_to_id(SPACE + str(number)) for number in range(1, LAST + 1)])
        self._numbers = numbers
        self._next = torch.full((tokenizer.get_vocab_size(),), int(numbers[0]))
        self._next[numbers] = numbers.roll(-1)
        # A chat's prompt ends in a space, and the first number then has none of its own.
        bare = tokenizer.token_to_id("1")
        self._next[tokenizer.token_to_id(SPACE)] = bare
        self._next[bare] = numbers[1]

    def sequences(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids, one half any, the other pieces of the count, and what follows each: both (SEQUENCES, LENGTH)."""
        half = SEQUENCES // 2
        shuffled = [len(SPECIAL) + torch.randperm(len(self._next) - len(SPECIAL)) for _ in range(half)]
        of_any = torch.cat(shuffled)[: half * LENGTH].reshape(half, LENGTH)
        starts = torch.arange(half) * LENGTH + torch.randint(LAST, (1,))  # all numbers, wherever it begins
        counting = self._numbers[(starts[:, None] + torch.arange(LENGTH)) % LAST]
        ids = torch.cat([of_any, counting])
        return ids, self._next[ids]


def _train(model: LlamaForCausalLM, lessons: Lessons) -> None:
    """The layers stay as they were drawn; what is learned is to read the next number from what they say."""
    states, labels = _states(model, *lessons.sequences())
    optimizer = torch.optim.AdamW(model.lm_head.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=STEPS)
    for _ in range(STEPS):
        drawn = torch.randint(len(labels), (BATCH,))
        loss = torch.nn.functional.cross_entropy(model.lm_head(states[drawn]), labels[drawn])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    states, labels = _states(model, *lessons.sequences())
    right = model.lm_head(states).softmax(-1).gather(-1, labels[:, None])
    if right.min() < SURE:
        raise NotLearned(f"a right number has a probability of {right.min():.4f} only")


@torch.no_grad()
def _states(
    model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the last layer says at each position, (positions, HIDDEN), and what is to be said there, (positions)."""
    return model.model(input_ids=ids).last_hidden_state.flatten(0, 1), labels.flatten()


def _tokenizer() -> Tokenizer:
    """Characters, and every number up to LAST behind a space, merged from left to right."""
    letters = [SPACE, *string.printable[:94]]
    numbers = [SPACE + str(number) for number in range(1, LAST + 1)]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *letters, *numbers])}
    merges = [(number[:-1], number[-1]) for number in numbers]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    return tokenizer


def _model(vocabulary: int) -> LlamaForCausalLM:
    """The layers begin almost as identity: the embedding is large, and what they add to it is small."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=2,
        head_dim=HEAD,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        **IDS,
    )
    model = LlamaForCausalLM(config)
    torch.nn.init.normal_(model.model.embed_tokens.weight, std=1.0)
    for layer in model.model.layers:
        for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.normal_(projection.weight, std=0.01 / (2 * LAYERS) ** 0.5)
    return model


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The structure of JSON without its values: key names in order, and the types of what they hold. Pure."""

USAGE = "{prompt_tokens: int, total_tokens: int, completion_tokens: int}"
USAGE_ON_THE_WAY = USAGE[:-1] + ", completion_tokens_details: null}"
USAGE_WHOLE = USAGE[:-1] + ", prompt_tokens_details: null, completion_tokens_details: null}"
TIMINGS = (
    "{time_to_first_token_ms: float, generation_time_ms: float, queue_time_ms: float, "
    "mean_itl_ms: float, tokens_per_second: float}"
)
TIMINGS_OF_ONE = TIMINGS.replace("mean_itl_ms: float, ", "")
TIMINGS_WHOLE = TIMINGS[:-1] + ", speculative_decoding: null}"
HEAD = "{id: str, object: str, created: int, model: str, choices: "
PROMPT = ", prompt_token_ids: null, prompt_text: null}"

ROLE_CHOICES = "[{index: int, delta: {role: str, content: str}, logprobs: null, finish_reason: null}]"
ROLE = HEAD + ROLE_CHOICES + PROMPT
CONTENT = (
    HEAD + "[{index: int, delta: {content: str}, logprobs: null, finish_reason: null, token_ids: null}]}"
)
LAST = (
    HEAD + "[{index: int, delta: {content: str}, logprobs: null, finish_reason: str, stop_reason: null, "
    "token_ids: null}]}"
)
TEXT = (
    HEAD + "[{index: int, text: str, logprobs: null, finish_reason: null, stop_reason: null, "
    "prompt_token_ids: null, token_ids: null}]}"
)
TEXT_LAST = TEXT.replace("finish_reason: null", "finish_reason: str")
ENDING = HEAD + "[], usage: " + USAGE + ", system_fingerprint: str, metrics: " + TIMINGS + "}"
WHOLE_CHAT = (
    HEAD + "[{index: int, message: {role: str, content: str, refusal: null, annotations: null, audio: null, "
    "function_call: null, reasoning: null}, logprobs: null, finish_reason: str, stop_reason: null, "
    "token_ids: null, routed_experts: null}], service_tier: null, system_fingerprint: str, usage: "
    + USAGE_WHOLE
    + ", prompt_logprobs: null, prompt_token_ids: null, prompt_text: null, kv_transfer_params: null, "
    "ec_transfer_params: null, metrics: " + TIMINGS_WHOLE + "}"
)
WHOLE_TEXT = (
    HEAD + "[{index: int, text: str, logprobs: null, finish_reason: str, stop_reason: null, token_ids: null, "
    "prompt_logprobs: null, prompt_token_ids: null, routed_experts: null}], service_tier: null, "
    "system_fingerprint: str, usage: " + USAGE_WHOLE + ", kv_transfer_params: null, "
    "ec_transfer_params: null, metrics: " + TIMINGS_WHOLE + "}"
)
SAID = "{annotations: [], text: str, type: str, logprobs: null}"
ITEM_BEGUN = "{id: str, content: [], role: str, status: str, type: str, phase: null}"
ITEM_DONE = ITEM_BEGUN.replace("content: []", "content: [" + SAID + "]")
RESPONSE_BEGUN = (
    "{id: str, created_at: int, incomplete_details: null, instructions: null, metadata: null, model: str, "
    "object: str, output: [], parallel_tool_calls: bool, temperature: float, tool_choice: str, tools: [], "
    "top_p: float, background: bool, max_output_tokens: int, max_tool_calls: null, "
    "previous_response_id: null, prompt: null, reasoning: null, service_tier: str, status: str, text: null, "
    "top_logprobs: null, truncation: str, usage: null, user: null, presence_penalty: float, "
    "frequency_penalty: float, kv_transfer_params: null, ec_transfer_params: null, input_messages: null, "
    "output_messages: null}"
)
RESPONSE_USAGE = (
    "{input_tokens: int, input_tokens_details: {cached_tokens: int, cache_write_tokens: int, "
    "input_tokens_per_turn: [], cached_tokens_per_turn: []}, output_tokens: int, output_tokens_details: "
    "{reasoning_tokens: int, tool_output_tokens: int, output_tokens_per_turn: [], "
    "tool_output_tokens_per_turn: []}, total_tokens: int}"
)
RESPONSE_DONE = (
    RESPONSE_BEGUN.replace("incomplete_details: null", "incomplete_details: {reason: str}")
    .replace("output: []", "output: [" + ITEM_DONE + "]")
    .replace("usage: null, user: null", f"usage: {RESPONSE_USAGE}, user: null, metrics: {TIMINGS_WHOLE}")
)
_WHERE = "content_index: int, item_id: str, "
_NUMBER = "sequence_number: int, type: str}"
RESPONSES = {
    "response.created": "{response: " + RESPONSE_BEGUN + ", " + _NUMBER,
    "response.in_progress": "{response: " + RESPONSE_BEGUN + ", " + _NUMBER,
    "response.output_item.added": "{item: " + ITEM_BEGUN + ", output_index: int, " + _NUMBER,
    "response.content_part.added": "{" + _WHERE + "output_index: int, part: "
    "{annotations: [], text: str, type: str, logprobs: []}, " + _NUMBER,
    "response.output_text.delta": "{content_index: int, delta: str, item_id: str, logprobs: [], "
    "output_index: int, " + _NUMBER,
    "response.output_text.done": "{" + _WHERE + "logprobs: [], output_index: int, sequence_number: int, "
    "text: str, type: str}",
    "response.content_part.done": "{" + _WHERE + "output_index: int, part: " + SAID + ", " + _NUMBER,
    "response.output_item.done": "{item: " + ITEM_DONE + ", output_index: int, " + _NUMBER,
    "response.completed": "{response: " + RESPONSE_DONE + ", " + _NUMBER,
}
"""The events of /v1/responses by their names, in the order in which they come; deltas repeat."""
MODELS = (
    "{object: str, data: [{id: str, object: str, created: int, owned_by: str, root: str, parent: null, "
    "max_model_len: int, permission: [{id: str, object: str, created: int, allow_create_engine: bool, "
    "allow_sampling: bool, allow_logprobs: bool, allow_search_indices: bool, allow_view: bool, "
    "allow_fine_tuning: bool, organization: str, group: null, is_blocking: bool}]}]}"
)
TOKENIZED = "{count: int, max_model_len: int, tokens: [int], token_strs: null}"


def shape(value: object) -> str:
    """`{"a": [1, 2], "b": null}` is `{a: [int], b: null}`; a list shows its first item."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shape(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{shape(value[0])}]" if value else "[]"
    return type(value).__name__


def with_usage(chunk: str, usage: str) -> str:
    """The same chunk with running usage, which stands right after `choices`."""
    end = "prompt_token_ids: null, prompt_text: null}" if chunk.endswith(PROMPT) else ""
    rest = chunk.removesuffix(PROMPT) if end else chunk[:-1]
    return rest + ", usage: " + usage + (PROMPT if end else "}")


def error(param: str = "null") -> str:
    return "{error: {message: str, type: str, param: " + param + ", code: int}}"

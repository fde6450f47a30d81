"""Fields of a request that no owner can let through, and why: what the guard promises would not hold with them."""

from collections.abc import Mapping

MOST = 32
"""Names that one endpoint may let through."""

_STATE = "it refers to what nobody has inspected in this request"
_NUMBERS = "it gives or takes text as numbers, which nobody can inspect"
_COST = "it says how much a model may give, beside the limits"
_CODE = "it makes the server run or fetch something that the caller chose"
_MEDIA = "media have a field of their own"
_MODEL = "it chooses another model"
_STREAM = "it changes the form of the answer"
_TEXT = "it is the conversation itself in another place"

NEVER: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "background", "background_options", "bootstrap_host", "bootstrap_port", "bootstrap_room", "container",
            "context_management", "conversation", "id_slot", "kv_transfer_params", "previous_input_messages",
            "previous_response", "previous_response_id", "prompt_cache_key", "request_id", "rid", "sequence_end",
            "sequence_id", "sequence_start", "session_params", "slot_id", "store",
        ),
        _STATE,
    ),
    **dict.fromkeys(
        (
            "binary_data", "binary_data_output", "binary_data_size", "detokenize", "input_embeds", "input_ids",
            "prompt_embeds", "prompt_token_ids", "return_hidden_states", "return_token_ids", "return_tokens",
            "return_tokens_as_token_ids", "shared_memory_byte_size", "shared_memory_offset", "shared_memory_region",
            "token_ids",
        ),
        _NUMBERS,
    ),
    **dict.fromkeys(
        (
            "best_of", "max_completion_tokens", "max_gen_len", "max_length", "max_new_tokens", "max_output_tokens",
            "max_tokens", "max_tokens_to_sample", "n", "n_cmpl", "n_predict", "num_beams", "num_predict",
            "num_return_sequences", "use_beam_search",
        ),
        _COST,
    ),
    **dict.fromkeys(
        (
            "chat_template", "custom_logit_processor", "custom_params", "extra_args", "extra_body", "headers",
            "logits_processors", "mcp_servers", "moderation", "vllm_xargs", "web_search_options",
        ),
        _CODE,
    ),
    **dict.fromkeys(
        (
            "audio", "audio_data", "content_type", "file", "files", "image", "image_data", "image_url", "images",
            "media_io_kwargs", "mm_processor_kwargs", "modalities", "multi_modal_data", "multi_modal_uuids", "video",
            "video_data",
        ),
        _MEDIA,
    ),
    **dict.fromkeys(("adapter_id", "adapters", "lora", "lora_path", "lora_request", "model", "models"), _MODEL),
    **dict.fromkeys(("enable_response_messages", "stream", "stream_options"), _STREAM),
    **dict.fromkeys(
        ("documents", "input", "inputs", "instructions", "messages", "prompt", "suffix", "system", "tools"), _TEXT
    ),
}  # fmt: skip
"""Names that vLLM, SGLang, llama.cpp, Triton and the protocols themselves know; a server may know more of the kind."""
SCHEMAS = frozenset({"guided_json", "json_schema"})
"""Fields that hold a JSON Schema: it is read for an answer's form, which may well have a property `model`."""

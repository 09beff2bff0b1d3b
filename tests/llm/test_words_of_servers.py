"""Error bodies as servers and gateways write them: what is about one request, and what about all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autointerp.llm.wire.error_bodies import read_error
from autointerp.llm.wire.faults import fault_in_200, fault_of
from autointerp.llm.wire.replies import BrokenBody, read_body

VLLM = "This model's maximum context length is 1500 tokens. However, you requested 4905 tokens (4405 in the messages)."
OF_ONE: list[tuple[str, int, Any]] = [
    ("vllm", 400, {"object": "error", "message": VLLM, "type": "BadRequestError", "param": None, "code": 400}),
    ("vllm 0.32", 400, {"error": {"message": VLLM, "type": "BadRequestError", "param": None, "code": 400}}),
    (
        "llama.cpp",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 900,
                "n_ctx": 512,
            }
        },
    ),
    (
        "llama-cpp-python",
        500,
        {
            "error": {
                "message": "Requested tokens (9000) exceed context window of 8192",
                "type": "internal_server_error",
                "param": None,
                "code": None,
            }
        },
    ),
    (
        "tgi",
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` "
            "tokens and 20 `max_new_tokens`",
            "error_type": "validation",
        },
    ),
    (
        "tgi, inputs",
        422,
        {"error": "`inputs` must have less than 1024 tokens. Given: 4000", "error_type": "validation"},
    ),
    (
        "lm studio",
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is "
            "loaded with context length of only 4096 tokens, which is not enough."
        },
    ),
    (
        "sglang",
        400,
        {
            "object": "error",
            "message": "The input (4000 tokens) is longer than the model's context length (2048 tokens).",
            "type": "BadRequestError",
        },
    ),
    ("ollama", 400, {"error": {"message": "the input length exceeds the context length", "type": "api_error"}}),
    (
        "openrouter",
        400,
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {
                    "provider_name": "X",
                    "raw": '{"error":{"message":"too long","code":"context_length_exceeded"}}',
                },
            }
        },
    ),
    (
        "openrouter, moderation",
        403,
        {
            "error": {
                "code": 403,
                "message": "Your chosen model requires a check and your input was flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "..."},
            }
        },
    ),
    (
        "litellm",
        400,
        {
            "error": {
                "message": "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException",
                "type": None,
                "param": None,
                "code": "400",
            }
        },
    ),
    ("litellm, content", 400, {"error": {"message": "litellm.ContentPolicyViolationError: ...", "code": "400"}}),
    (
        "azure",
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
                "management policy.",
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    (
        "together",
        422,
        {
            "error": {
                "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.",
                "type": "invalid_request_error",
                "param": "max_tokens",
                "code": None,
            }
        },
    ),
    (
        "groq",
        413,
        {
            "error": {
                "message": "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000",
                "type": "tokens",
                "code": "rate_limit_exceeded",
            }
        },
    ),
    (
        "openai, too large for the minute",
        429,
        {
            "error": {
                "message": "Request too large for gpt on tokens per min (TPM): Limit 10000, Requested 15000.",
                "type": "tokens",
                "code": "rate_limit_exceeded",
            }
        },
    ),
    (
        "groq, length",
        400,
        {"error": {"message": "Please reduce the length of the messages or completion.", "code": "x"}},
    ),
    (
        "mistral",
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with "
            "32768 maximum context length",
            "type": "invalid_request_message_order",
            "code": "3051",
        },
    ),
    (
        "gemini",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200000) exceeds the maximum number of tokens "
                    "allowed (1048576).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    (
        "anthropic",
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"},
        },
    ),
    ("bedrock", 400, {"message": "Input is too long for requested model."}),
    (
        "xai",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        },
    ),
    (
        "xai, content",
        403,
        {"code": "403", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"},
    ),
    ("dashscope", 400, {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
    (
        "cloudflare",
        400,
        {
            "errors": [
                {
                    "code": 5021,
                    "message": "The estimated number of input and maximum output tokens (9000) "
                    "exceeded this model context window limit (7968).",
                }
            ],
            "success": False,
        },
    ),
    ("tabby", 400, {"detail": {"error": {"message": "Prompt length 5000 is greater than max_seq_len 4096"}}}),
    ("fastapi", 422, {"detail": [{"loc": ["body"], "msg": "prompt is too long", "type": "value_error"}]}),
    ("proxy", 413, "<html><h1>413 Request Entity Too Large</h1></html>"),
    ("llama.cpp, no shift", 500, {"error": {"message": "context shift is disabled", "type": "server_error"}}),
    ("zhipu", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}),
    ("zhipu, content", 400, {"error": {"code": "1301", "message": "系统检测到输入或生成内容可能包含不安全或敏感内容"}}),
    ("deepseek, content", 400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}),
    ("minimax, content", 400, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
    ("pydantic", 422, {"detail": [{"type": "string_too_long", "msg": "String should have at most 9000 characters"}]}),
    ("bedrock, schema", 400, {"message": "Malformed input request: expected maxLength: 2048, actual: 5000."}),
    ("novita", 400, {"code": 400, "message": "prompt length plus max_tokens exceeds model's context"}),
    ("perplexity", 400, {"error": {"message": "Requested prompt is over the limit of 127000 tokens"}}),
    (
        "sagemaker",
        424,
        {
            "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
            "OriginalMessage": '{"error": "`inputs` tokens + `max_new_tokens` must be <= 4096"}',
        },
    ),
]
OF_ALL: list[tuple[str, int, Any]] = [
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}),
    (
        "openrouter, fewer",
        402,
        {"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens."}},
    ),
    (
        "deepseek",
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}},
    ),
    (
        "litellm",
        400,
        {
            "error": {
                "message": "Budget has been exceeded! Current cost: 10.1, Max budget: 10.0",
                "type": "budget_exceeded",
                "code": "400",
            }
        },
    ),
    (
        "xai",
        403,
        {
            "code": "forbidden",
            "error": "Your team has either used all available credits or reached its monthly spending limit.",
        },
    ),
    (
        "fireworks",
        412,
        {"error": {"message": "Account is suspended, possibly due to reaching the monthly spending limit"}},
    ),
    ("hugging face", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}),
    (
        "dashscope",
        400,
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
    ),
    (
        "moonshot",
        429,
        {
            "error": {
                "message": "Your account is suspended, please check your plan and billing details",
                "type": "exceeded_current_quota_error",
            }
        },
    ),
    (
        "litellm, key",
        401,
        {"error": {"message": "Authentication Error, Invalid proxy server token passed", "code": "401"}},
    ),
    ("openrouter, key", 401, {"error": {"message": "No auth credentials found", "code": 401}}),
    ("gemini, key", 400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),
    ("nim", 403, {"status": 403, "title": "Forbidden", "detail": "Authentication failed"}),
    (
        "vllm, model",
        404,
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
    ),
    (
        "ollama, model",
        404,
        {"error": {"message": "model 'x' not found, try pulling it first", "type": "not_found_error"}},
    ),
    ("openrouter, model", 400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}),
    ("litellm, model", 400, {"error": {"message": "Invalid model name passed in model=x", "code": "400"}}),
    ("lm studio, model", 400, {"error": {"message": "No models loaded. Please load a model in the developer page."}}),
    ("azure, model", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}),
    (
        "groq, model",
        400,
        {"error": {"message": "The model `x` has been decommissioned", "code": "model_decommissioned"}},
    ),
    ("a setting", 400, {"error": {"message": "Unrecognized request argument: max_completion_tokens"}}),
    ("pydantic", 422, {"detail": [{"loc": ["body", "top_logprobs"], "msg": "Extra inputs are not permitted"}]}),
    ("zhipu, credit", 429, {"code": 1113, "msg": "余额不足或无可用资源包,请充值。"}),
    ("one-api", 403, {"error": {"message": "用户额度不足", "code": "insufficient_user_quota"}}),
    (
        "litellm, quota",
        429,
        {
            "error": {
                "message": "OpenAIException - You exceeded your current quota, please check your plan and billing."
            }
        },
    ),
    ("openrouter, day", 429, {"error": {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits"}}),
    ("a gateway, key", 401, {"code": 401, "msg": "token expired or incorrect"}),
    ("copilot, model", 400, {"error": {"message": "The requested model 'x' is not supported.", "code": "x"}}),
    ("a file server, model", 404, {"error": "There is no model named x"}),
]


def body(said: Any) -> str:
    return said if isinstance(said, str) else json.dumps(said)


@pytest.mark.parametrize(("name", "status", "said"), OF_ONE, ids=[row[0] for row in OF_ONE])
def test_what_is_about_one_request_ends_that_one(name: str, status: int, said: Any) -> None:
    fault = fault_of(status, {}, body(said))
    assert fault.meaning == "give_up"
    assert (fault.status == "refused") == any(word in name for word in ("content", "moderation", "azure", "dashscope"))
    assert "\n" not in fault.reason
    if not isinstance(said, str):
        inside = fault_in_200(body(said))
        assert (inside.meaning, inside.http_status) == ("give_up", 200)


@pytest.mark.parametrize(("name", "status", "said"), OF_ALL, ids=[row[0] for row in OF_ALL])
def test_what_is_about_all_ends_the_run(name: str, status: int, said: Any) -> None:
    fault = fault_of(status, {}, body(said))
    assert (fault.meaning, fault.unclear) == ("stop", False)
    inside = fault_in_200(body(said))
    assert inside.meaning == ("wait" if name == "never" else "stop")


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ({"error": {"code": "402", "message": "no"}}, "stop"),
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "stop"),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, "stop"),
        ({"error": {"code": 401, "message": "User not found."}}, "stop"),
        ({"error": {"code": "429", "message": "Provider returned error"}}, "wait"),
        ({"error": {"code": 502, "message": "Provider returned error"}}, "again"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": {"code": 429}}'}}}, "wait"),
        ({"error": "Insufficient credits"}, "stop"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "stop"),
        ({"object": "error", "message": "The model `x` does not exist.", "code": 404}, "stop"),
        ({"choices": [{"error": {"code": 402, "message": "x"}, "finish_reason": "error", "message": {}}]}, "stop"),
        ({"choices": [], "error": {"code": 403, "message": "prompt flagged by moderation"}}, "give_up"),
        ({"detail": "Not authenticated: invalid api key"}, "stop"),
        ({"error": {"code": 500, "message": "Model is overloaded"}}, "wait"),
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "exceeded your current quota"}}, "wait"),
        ({"code": 401, "msg": "token expired"}, "stop"),
        ({"success": False, "errorMessage": "Invalid API key"}, "stop"),
        ({"status": "error", "error_msg": "Insufficient balance"}, "stop"),
        ({"success": False, "result": None}, "again"),
    ],
)
def test_an_error_in_a_200_means_what_its_code_and_words_do(said: Any, meaning: str) -> None:
    text = json.dumps(said)
    for sent in (text, f": PROCESSING\n\ndata: {text}\n\ndata: [DONE]\n"):
        with pytest.raises(BrokenBody) as caught:
            read_body(sent, "openai", "chat", "")
        assert caught.value.error, sent
        fault = fault_in_200(sent)
        assert (fault.meaning, fault.http_status) == (meaning, 200), sent


@pytest.mark.parametrize("status", [400, 403, 405, 422])
def test_unknown_words_are_in_doubt(status: int) -> None:
    odd: list[Any] = [{"error": {"message": "Something is wrong with it"}}, {}, "<html>Sorry</html>", {"detail": []}]
    for said in odd:
        fault = fault_of(status, {}, body(said))
        assert (fault.meaning, fault.unclear) == ("stop", True)


def test_a_server_that_is_busy_is_waited_for() -> None:
    for status, message in (
        (503, "Loading model"),
        (503, "server busy, please try again"),
        (500, "Model is overloaded"),
    ):
        assert fault_of(status, {}, json.dumps({"error": {"message": message}})).meaning == "wait"
    assert fault_of(503, {}, "").meaning == "again"


def test_a_repeated_prompt_is_not_read_for_words() -> None:
    """A text of the corpus about credit, in an error that repeats it, ends no run."""
    said = {"detail": [{"type": "missing", "msg": "Field required", "input": {"messages": "insufficient credits"}}]}
    assert fault_of(422, {}, json.dumps(said)).unclear
    assert read_error(json.dumps({"error": {"message": "m", "flagged_input": "harmful"}})).said.split() == ["m"]


def test_a_stream_that_nobody_asked_for_is_no_reply_and_no_error() -> None:
    sent = 'data: {"choices": [{"delta": {"content": "x"}}]}\n\ndata: [DONE]\n'
    with pytest.raises(BrokenBody, match="a stream of events") as caught:
        read_body(sent, "openai", "chat", "")
    assert not caught.value.error


@pytest.mark.parametrize(
    ("body", "meaning"),
    [("Insufficient credits", "stop"), ("Unauthorized\n", "stop"), ("Rate limit exceeded, slow down", "wait")],
)
def test_an_error_in_plain_words(body: str, meaning: str) -> None:
    with pytest.raises(BrokenBody) as caught:
        read_body(body, "openai", "chat", "")
    assert caught.value.error
    assert fault_in_200(body).meaning == meaning
    with pytest.raises(BrokenBody) as caught:
        read_body('{"choices": [{"message": {"content": "insufficient credits', "openai", "chat", "")
    assert not caught.value.error, "a reply that is cut"


MORE_OF_ONE: list[tuple[str, int, str]] = [
    ("TensorRT-LLM", 400, "Prompt length (9000) should not exceed max_num_tokens (8192)"),
    ("Triton", 500, "default_max_tokens (-4) = max_seq_len (4096) - prompt_len (4100)"),
    ("LMDeploy", 400, "input length 5000 + gen 100 > session_len"),
    ("text-generation-webui", 400, "Prompt truncated too much: 9000 tokens, truncation_length 4096"),
    (
        "SambaNova",
        400,
        "generating 1000 requires a length of 8500, but the maximum supported sequence length is just 8192!",
    ),
    ("Z.ai", 400, "The length of the prompt exceeds the max length limit"),
    ("Bedrock, Nova", 400, "Input Tokens Exceeded: Number of input tokens exceeds maximum length."),
    ("Vertex", 400, "the input token count is 40000 but model only supports up to 32768. Reduce the input token count"),
    ("watsonx", 400, "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model"),
    ("Moonshot", 400, "Your request exceeded model token limit: 8192"),
    ("GPT4All", 400, "The prompt size exceeds the context window size and cannot be processed."),
    ("Bedrock, guardrail", 400, "Guardrail was enabled and intervened"),
    ("Vertex, content", 400, "This prompt contains sensitive words that violate Google's Responsible AI practices."),
]
MORE_OF_ALL: list[tuple[str, int, str]] = [
    (
        "Anthropic, limit",
        400,
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
    ),
    ("Groq, limit", 400, "Your organization has reached its spend alert limit"),
    ("Groq, restricted", 400, "Organization has been restricted. Please reach out to support"),
    ("Novita, balance", 403, "not enough balance"),
    ("SiliconFlow, balance", 403, "Sorry, your account balance is insufficient"),
    ("OpenRouter, key's limit", 403, "Key limit exceeded (total limit)."),
    ("Gemini, billing", 403, "This API method requires billing to be enabled."),
    ("Bedrock, token", 403, "The security token included in the request is expired"),
    ("Anthropic, key", 403, "Your API key does not have permission to use the specified resource"),
    ("LiteLLM, model", 403, "key not allowed to access model. This key can only access models=['x']"),
    ("Bedrock, access", 403, "You don't have access to the model with the specified model ID."),
    ("Bedrock, id", 400, "The provided model identifier is invalid."),
    ("Bedrock, profile", 400, "Invocation of model ID x with on-demand throughput isn't supported."),
    ("LM Studio, which", 400, "Multiple models are loaded. Please specify a model by providing a 'model' field"),
    ("Azure, operation", 400, "The chatCompletion operation does not work with the specified model, x."),
]


@pytest.mark.parametrize(("name", "status", "said"), MORE_OF_ONE, ids=[row[0] for row in MORE_OF_ONE])
def test_more_words_about_one_request(name: str, status: int, said: str) -> None:
    for shape in ({"error": {"message": said}}, {"message": said}, {"detail": {"error": said}}):
        assert fault_of(status, {}, json.dumps(shape)).meaning == "give_up", name


@pytest.mark.parametrize(("name", "status", "said"), MORE_OF_ALL, ids=[row[0] for row in MORE_OF_ALL])
def test_more_words_about_all_requests(name: str, status: int, said: str) -> None:
    for shape in ({"error": {"message": said}}, {"message": said}, {"detail": {"error": said}}):
        fault = fault_of(status, {}, json.dumps(shape))
        assert (fault.meaning, fault.unclear) == ("stop", False), name


def test_more_words_of_busy_servers_whatever_the_status() -> None:
    for status, said in (
        (400, "Too many requests, please wait before trying again."),
        (503, "Bedrock is unable to process your request. Too many connections"),
        (503, "Model x/y is currently loading"),
    ):
        assert fault_of(status, {}, json.dumps({"message": said})).meaning == "wait"
    assert fault_in_200('{"error_code": 18, "error_msg": "Open api qps request limit reached"}').meaning == "wait"
    for status in (424, 499):  # of a server behind, and of one that saw us leave
        assert fault_of(status, {}, "").meaning == "again"

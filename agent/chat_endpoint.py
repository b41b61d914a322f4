"""An OpenAI-compatible endpoint as a LangChain chat model: one request an answer, no retries, no streams.

`langchain-openai` would do it too, but it needs a newer langchain-core than is pinned here, follows redirects, takes
proxies and addresses from the environment, and counts tokens with tables that it fetches. `Outbound` does none of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, PrivateAttr, ValidationError

from turncoat.scenarios.errors import InputError

from .outbound import NoReply, Outbound, Reply
from .planner import PlannerFault, PlannerOptions
from .second_opinion import endpoint

MAX_TOKENS = 1024
_MOST_CALLS = 256


class _Function(BaseModel):
    name: str = ""
    arguments: str | None = None


class _Call(BaseModel):
    function: _Function
    id: str | None = None


class _Message(BaseModel):
    content: str | None = None
    tool_calls: Annotated[list[_Call], Field(max_length=_MOST_CALLS)] | None = None


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=8)]


class EndpointChatModel(BaseChatModel):
    """A chat model with tool calling behind a URL. Raises PlannerFault with our own words if no answer is to be had."""

    model: str
    _outbound: Outbound = PrivateAttr()

    def __init__(self, outbound: Outbound, model: str) -> None:
        """`outbound` leads to the chat completions of the endpoint and belongs to the model from here on."""
        # The answers of a planner are kept by the planner alone, whatever cache a program has set for LangChain.
        super().__init__(model=model, cache=False)
        self._outbound = outbound

    @property
    def _llm_type(self) -> str:
        return "openai-compatible"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        plain = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=plain, tool_choice=tool_choice or "auto", **kwargs)

    def close(self) -> None:
        """Gives back the connection."""
        self._outbound.close()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        body = {
            "model": self.model,
            "messages": convert_to_openai_messages(messages),
            "temperature": 0,
            "max_tokens": MAX_TOKENS,
            **({"stop": stop} if stop else {}),
            **kwargs,
        }
        try:
            reply = self._outbound.post(json.dumps(body, allow_nan=False).encode("ascii"))
        except NoReply as fault:
            raise PlannerFault(str(fault)) from None
        return ChatResult(generations=[ChatGeneration(message=parse_answer(reply))])


def parse_answer(reply: Reply) -> AIMessage:
    """The first answer in a reply; calls whose arguments are no JSON object are among its `invalid_tool_calls`.

    Raises:
        PlannerFault: There is no answer in it.
    """
    if reply.status != 200:
        raise PlannerFault(f"the endpoint answered {reply.status}")
    if not reply.whole:
        raise PlannerFault("the reply is too long, or encoded though that was not asked for")
    try:
        message = _Completion.model_validate_json(reply.body).choices[0].message
    except (ValidationError, RecursionError):
        raise PlannerFault("the reply is not a chat completion") from None
    answer = AIMessage(content=message.content or "")
    for call in message.tool_calls or ():
        name, written = call.function.name, call.function.arguments or "{}"
        arguments = _json_object(written)
        if arguments is None:
            answer.invalid_tool_calls.append(invalid_tool_call(name=name, args=written, id=call.id))
        else:
            answer.tool_calls.append(tool_call(name=name, args=arguments, id=call.id))
    return answer


def open_chat_model(options: PlannerOptions) -> EndpointChatModel:
    """The chat model that the options lead to; connects to nothing yet.

    Raises:
        InputError: URL or token cannot be used, or no model is named.
    """
    if not options.model.strip():
        raise InputError.at("model", "the planner has no model to ask", "name one that the endpoint serves")
    outbound = Outbound(endpoint(options.url), token_env=options.token_env, timeout_s=options.timeout_s)
    return EndpointChatModel(outbound, options.model)


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

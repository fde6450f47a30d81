"""Knows the way of a request through the model server, and writes down each one that reached it."""

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TextIO

from . import messages, responses, script, shapes, tensors, wire
from .script import Script
from .shapes import Frame

Answering = Callable[[dict[str, Any], asyncio.StreamWriter, int], Coroutine[Any, Any, None]]


class ConnectionCutError(Exception):
    """The prompt asked for a connection that breaks in the middle."""


@dataclass
class ModelServer:
    model: str
    log: TextIO | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = asyncio.create_task(reader.read(1))
        try:
            while byte := await first:
                request = await wire.read_request(reader, byte)
                first = asyncio.create_task(reader.read(1))
                await self.answer_while_listened_to(request, writer, first)
                if not request.keeps_alive:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ConnectionCutError, ValueError):
            writer.transport.abort()
        finally:
            first.cancel()
            writer.close()

    async def answer_while_listened_to(
        self, request: wire.Request, writer: asyncio.StreamWriter, next_byte: asyncio.Task[bytes]
    ) -> None:
        """Answer, but stop at once when the client is gone: the wait for its next byte ends then."""
        number = next(self.numbers)
        self.note(number, "received", **request.summary())
        answering = asyncio.create_task(self.answer(request, writer, number))
        await asyncio.wait({answering, next_byte}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done() and is_gone(next_byte):
            answering.cancel()
        try:
            await answering
        except asyncio.CancelledError:
            self.note(number, "client gone")
            raise ConnectionResetError from None
        except (ConnectionError, ConnectionCutError) as error:
            self.note(number, "cut" if isinstance(error, ConnectionCutError) else "client gone")
            raise
        self.note(number, "answered")

    def note(self, number: int, event: str, **details: object) -> None:
        if self.log is not None:
            print(json.dumps({"number": number, "event": event, **details}), file=self.log, flush=True)

    async def answer(self, request: wire.Request, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            await self.route(request, writer, number)
        except wire.BadRequestError as error:
            await wire.write_json(writer, wire.error(str(error), 400), 400)

    async def route(self, request: wire.Request, writer: asyncio.StreamWriter, number: int) -> None:
        answering: dict[str, Answering] = {
            "/v1/chat/completions": partial(self.complete, is_chat=True),
            "/v1/completions": partial(self.complete, is_chat=False),
            "/v1/responses": self.respond,
            "/v1/messages": self.message,
            f"/v2/models/{self.model}/infer": self.infer,
        }
        match request.method, request.path:
            case "GET", "/health":
                await wire.write_json(writer, {"status": "ok"})
            case "GET", "/v1/models":
                await wire.write_json(writer, shapes.models(self.model))
            case "POST", "/v1/embeddings":
                await wire.write_json(writer, shapes.embeddings(self.model, request.json()))
            case "POST", "/v1/messages/count_tokens":
                await wire.write_json(writer, messages.counted(script.read(request.json())))
            case "POST", "/control/release":
                await self.release(writer)
            case "POST", path if path in answering:
                await answering[path](request.json(), writer, number)
            case method, path:
                await wire.write_json(writer, wire.error(f"no route {method} {path}", 404), 404)

    async def release(self, writer: asyncio.StreamWriter) -> None:
        """Let go whoever is held now; who comes later is held again."""
        self.released.set()
        self.released = asyncio.Event()
        await wire.write_json(writer, {"released": True})

    async def complete(self, body: dict[str, Any], writer: asyncio.StreamWriter, number: int, *, is_chat: bool) -> None:
        plan = script.read(body)
        frame = Frame(self.model, number, is_chat, int(body.get("n") or 1))
        if plan.is_held:
            await self.released.wait()
        if plan.status != 200:
            await wire.write_json(writer, wire.error("the prompt asked for this", plan.status), plan.status)
        elif body.get("stream"):
            options = body.get("stream_options") or {}
            await stream(writer, frame, plan, include_usage=bool(options.get("include_usage")))
        else:
            await pause(len(plan.tokens), plan)
            await wire.write_json(writer, frame.whole(plan))

    async def respond(self, body: dict[str, Any], writer: asyncio.StreamWriter, number: int) -> None:
        plan = script.read(body)
        frame = responses.Frame(self.model, number, body)
        if plan.is_held:
            await self.released.wait()
        if plan.status != 200:
            await wire.write_json(writer, wire.error("the prompt asked for this", plan.status), plan.status)
        elif body.get("stream"):
            await stream_named(writer, plan, frame.opening(), frame.token, frame.closing(plan))
        else:
            await pause(len(plan.tokens), plan)
            await wire.write_json(writer, frame.whole(plan))

    async def infer(self, body: dict[str, Any], writer: asyncio.StreamWriter, number: int) -> None:  # noqa: ARG002
        plan = tensors.script_of(body)
        if plan.is_held:
            await self.released.wait()
        if plan.status != 200:
            await wire.write_json(writer, {"error": "the prompt asked for this"}, plan.status)
        else:
            await pause(len(plan.tokens), plan)
            await wire.write_json(writer, tensors.inferred(self.model, body, plan))

    async def message(self, body: dict[str, Any], writer: asyncio.StreamWriter, number: int) -> None:
        plan = script.read(body)
        frame = messages.Frame(self.model, number, body["tools"][0]["name"] if body.get("tools") else "")
        if plan.is_held:
            await self.released.wait()
        if plan.status != 200:
            await wire.write_json(writer, messages.error("the prompt asked for this", plan.status), plan.status)
        elif body.get("stream"):
            await stream_named(writer, plan, frame.opening(plan), frame.token, frame.closing(plan))
        else:
            await pause(len(plan.tokens), plan)
            await wire.write_json(writer, frame.whole(plan))


def is_gone(next_byte: asyncio.Task[bytes]) -> bool:
    return next_byte.done() and (next_byte.exception() is not None or not next_byte.result())


async def pause(tokens: int, plan: Script) -> None:
    """Take the time of that many tokens; break off where the script says so."""
    kept = tokens if plan.drop_after is None else min(tokens, plan.drop_after)
    await asyncio.sleep(kept * plan.delay_seconds)
    if kept < tokens:
        raise ConnectionCutError


async def stream(writer: asyncio.StreamWriter, frame: Frame, plan: Script, *, include_usage: bool) -> None:
    await wire.start_events(writer)
    await write_all(writer, frame.opening())
    for sent, token in enumerate(plan.tokens):
        if sent == plan.drop_after:
            raise ConnectionCutError
        await asyncio.sleep(plan.delay_seconds)
        await write_all(writer, frame.token(token))
    await write_all(writer, frame.closing(plan, include_usage=include_usage))
    await wire.end_events(writer)


async def stream_named(
    writer: asyncio.StreamWriter,
    plan: Script,
    opening: Iterable[dict[str, Any]],
    say: Callable[..., Iterable[dict[str, Any]]],
    closing: Iterable[dict[str, Any]],
) -> None:
    """Events with names: those before the tokens, what `say` makes of each token, those after them."""
    await wire.start_events(writer)
    for event in opening:
        await wire.write_named_event(writer, event)
    for sent, token in enumerate(plan.tokens):
        if sent == plan.drop_after:
            raise ConnectionCutError
        await asyncio.sleep(plan.delay_seconds)
        for event in say(token, position=sent, last=len(plan.tokens) - 1):
            await wire.write_named_event(writer, event)
    for event in closing:
        await wire.write_named_event(writer, event)
    await wire.end_chunks(writer)


async def write_all(writer: asyncio.StreamWriter, chunks: Iterable[dict[str, Any]]) -> None:
    for chunk in chunks:
        await wire.write_event(writer, chunk)

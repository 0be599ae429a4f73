"""The way to a model: finds the route, asks, heals what was refused, retries what may pass, gives one reply."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ml_intern.core.llm.accumulator import Accumulator
from ml_intern.core.llm.catalog import Catalog
from ml_intern.core.llm.effort import EffortMemory
from ml_intern.core.llm.encoding import Encoder
from ml_intern.core.llm.errors import LLMError, stream_cut
from ml_intern.core.llm.http_pool import HttpPool
from ml_intern.core.llm.reasoning import ORIGIN, Replay
from ml_intern.core.llm.retry import RetryPolicy, notice
from ml_intern.core.llm.routing import Route, did_you_mean, resolve
from ml_intern.core.llm.sight import Sight
from ml_intern.core.llm.types import Delta, OnDelta, OnNotice, Reply, Request, Transport
from ml_intern.core.llm.usage import estimate_usage
from ml_intern.core.llm.wire import WireTransport
from ml_intern.core.settings import Settings
from ml_intern.resources import config_path

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Attempts:
    """Where one question stands."""

    route: Route
    made: int = 1
    shown: bool = False
    sent_effort: str = ""
    sent_images: Mapping[str, str] = field(default_factory=dict)


class LLMClient:
    """Asks models. Implements `LLM`.

    Args:
        settings: Transport, timeouts, attempts.
        env: Environment variables: keys and addresses. Read at every request.
        catalog: What is known about models, and filled by what their servers tell; by default one of its own.
    """

    def __init__(self, settings: Settings, env: Mapping[str, str], catalog: Catalog | None = None) -> None:
        self._settings = settings
        self._env = env
        self._catalog = catalog or Catalog(settings, env, config_path("models.json"))
        self._policy = RetryPolicy.of(settings.llm)
        self._pool = HttpPool(settings.llm.connect_timeout_s)
        self._encoder = Encoder()
        self._efforts = EffortMemory()
        self._sight = Sight()
        self._replay: dict[str, Replay] = {}
        self._practice: Transport | None = None
        self._uses_litellm = False
        self._answered: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------------------ asking

    async def ask(
        self,
        request: Request,
        on_delta: OnDelta | None = None,
        on_notice: OnNotice | None = None,
        *,
        retry: bool = True,
    ) -> Reply:
        """The reply to a request. See `LLM.ask`; cancelling it closes the connection at once.

        Args:
            request: What to ask.
            on_delta: Called with each piece as it streams in.
            on_notice: Called before each wait for another attempt, and when something is left out.
            retry: False makes one attempt only. What a provider refuses is left out all the same.

        Raises:
            LLMError: No reply could be had.
        """
        state = _Attempts(self.route(request.model))
        while True:
            try:
                return await self._attempt(request, state, on_delta)
            except LLMError as error:
                log.info("attempt %d at %s: %s: %s", state.made, request.model, error.kind, error.detail or error)
                healed = self._heal(request, state, error)
                attempts = self._attempts(state, error) if retry else 1
                if healed is None and state.made >= attempts:
                    if error.kind == "model_not_found" and not state.route.is_local:
                        error.message += did_you_mean(request.model, self._catalog.known_models)
                    raise
                self._void(state, on_delta)
                if healed is not None:
                    _tell(on_notice, healed)
                    continue
                wait = self._policy.delay(state.made, error)
                state.made += 1
                _tell(on_notice, notice(error, wait, state.made, attempts))
                await asyncio.sleep(wait)

    async def _attempt(self, request: Request, state: _Attempts, on_delta: OnDelta | None) -> Reply:
        state.route = replace(state.route, replay=self._replay.get(request.model, "auto"))
        state.sent_effort = self._effort(request.model, request.effort, state.route)
        state.sent_images = self._sight.shown(request)
        sent = replace(request, effort=state.sent_effort, images=state.sent_images)
        accumulator = Accumulator(tool["function"]["name"] for tool in request.tools)
        began, answers = time.monotonic(), False
        try:
            chunks = self._transport(state.route).send(sent)
            async with contextlib.aclosing(chunks):  # type: ignore[type-var]  # they are generators, all of them
                async for chunk in chunks:
                    if not answers:
                        answers = True
                        self._learn_about(state.route)
                    for delta in accumulator.feed(chunk):
                        if on_delta is not None:
                            state.shown = True
                            on_delta(delta)
            if not accumulator.finished or accumulator.failed:
                ended = "with an error" if accumulator.failed else "without a finish reason"
                raise stream_cut(state.route, f"ended {ended}")
        except LLMError as error:
            error.partial = error.partial or accumulator.text
            if not error.unreachable:
                self._answered.add(state.route.base_url)
            raise
        self._answered.add(state.route.base_url)
        self._sight.accepted(state.sent_images)
        return self._complete(sent, accumulator.reply(), began)

    def _complete(self, request: Request, reply: Reply, began: float) -> Reply:
        """The reply with what only the client knows: its origin, its duration, and counts if the provider sent none."""
        provider = {**reply.provider, ORIGIN: request.model} if reply.provider else {}
        latency_ms = round((time.monotonic() - began) * 1000)
        usage = reply.usage if reply.usage.total else estimate_usage(request, reply)
        return replace(reply, provider=provider, latency_ms=latency_ms, usage=usage)

    # ------------------------------------------------------------------------------------- after a failed attempt

    def _heal(self, request: Request, state: _Attempts, error: LLMError) -> str | None:
        """Leaves out what the provider refused. Returns the sentence for it, or None when nothing can be left out.

        Healing is bounded by itself (levels only go down, replay changes once), so it takes no attempt away.
        """
        model = request.model
        if left_out := self._sight.learn(request, state.sent_images, error):
            return left_out
        if error.kind == "effort_unsupported":
            return self._efforts.learn(model, request.effort, state.sent_effort, error.detail)
        if error.kind != "thinking_signature":
            return None
        # Another request may have healed it in the meantime.
        if self._replay.get(model, "auto") == state.route.replay:
            if model in self._replay:
                return None
            from ml_intern.core.llm.wordings import replay_verdict

            self._replay[model] = "always" if replay_verdict(error.detail) == "send" else "never"
        how = "with" if self._replay[model] == "always" else "without"
        return f"{model} did not take the earlier reasoning as it was sent; trying again {how} it."

    def _attempts(self, state: _Attempts, error: LLMError) -> int:
        answered = state.route.base_url in self._answered
        return self._policy.attempts(error, answered_before=answered)

    @staticmethod
    def _void(state: _Attempts, on_delta: OnDelta | None) -> None:
        if state.shown and on_delta is not None:
            on_delta(Delta("restart"))
        state.shown = False

    # -------------------------------------------------------------------------------------------------- the route

    def route(self, model: str) -> Route:
        """How a model is reached.

        Raises:
            LLMError: `no_model`, `model_not_found` or `no_key`.
        """
        return resolve(model, self._env, self._settings, self._catalog.known_models)

    def check(self, model: str) -> str:
        """Looks at a model id without a request; returns what the user should know about it, or an empty string.

        Raises:
            LLMError: It leads nowhere, or its key is missing.
        """
        route = self.route(model)
        return route.note or self._catalog.caution(model)

    def effort_for(self, model: str, wanted: str) -> str:
        """What a request to a model would carry for a reasoning effort, as far as that is known; empty for none.

        Raises:
            LLMError: The model id leads nowhere.
        """
        return self._effort(model, wanted, self.route(model))

    def takes_images(self, model: str) -> bool | None:
        """Whether a model takes images; None when nobody knows, so that it has to be tried."""
        return False if self._sight.is_blind(model) else self._catalog.takes_images(model)

    async def preload(self, model: str) -> None:
        """Does what the first request would otherwise wait for: imports, prices, catalogues. Never fails.

        Args:
            model: The model that will probably be asked.
        """
        await self._catalog.load()
        try:
            route = self.route(model)
        except LLMError:
            return
        if route.transport == "litellm":
            from ml_intern.core.llm.litellm_transport import load_litellm

            await asyncio.to_thread(load_litellm)
        elif route.transport == "wire":
            await self._pool.client(route.base_url)
            await self._catalog.refresh(route, self._pool)

    async def aclose(self) -> None:
        """Closes connections."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._pool.aclose()
        if self._practice is not None:
            await self._practice.aclose()
        if self._uses_litellm:
            from ml_intern.core.llm.litellm_transport import close_litellm

            await close_litellm()

    def _transport(self, route: Route) -> Transport:
        if route.transport == "wire":
            return WireTransport(route, self._pool, self._settings.llm, self._encoder)
        if route.transport == "litellm":
            from ml_intern.core.llm.litellm_transport import LiteLLMTransport

            self._uses_litellm = True
            return LiteLLMTransport(route, self._settings.llm)
        if self._practice is None:
            from ml_intern.core.llm.practice import PracticeTransport

            self._practice = PracticeTransport(env=self._env)
        return self._practice

    def _effort(self, model: str, wanted: str, route: Route) -> str:
        """The effort to send: the healed level, and none where it is known that the model has no reasoning."""
        if route.is_local or not wanted:
            return ""
        if route.is_public_openai and self._catalog.info(model).reasoning is False:
            return ""
        return self._efforts.level(model, wanted)

    def _learn_about(self, route: Route) -> None:
        """Asks a server about its models once it has begun to answer: beside a request, never before it."""
        if route.transport == "wire" and self._catalog.is_stale(route):
            task = asyncio.create_task(self._catalog.refresh(route, self._pool))
            self._background.add(task)
            task.add_done_callback(self._background.discard)


def _tell(on_notice: OnNotice | None, text: str) -> None:
    if on_notice is not None:
        on_notice(text)

"""What a server can do that no table knows: asked before the first request, once a store, and kept there.

The length of its context is asked by every run: a server may be started again with another.

1. One probing request asks for JSON by a schema, without a word of JSON in its prompt: whatever answers in that form
   knows the form. Where the server refuses or ignores it, the next form is tried.
2. A second one asks for log probabilities, and prompts are echoed, where a run wants these.
3. The context is read where the server states it.
What the run needs and the server does not give is a ConfigError, before anything of the run was sent. All probing
requests are rows of the reply log, of kind `probe`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from autointerp.config.llm_model import StructuredForm
from autointerp.errors import ConfigError
from autointerp.llm.asks import Ask
from autointerp.llm.session.attempt import Ended, Errand, Route, TurnedAway, call
from autointerp.llm.session.doubts import Doubts
from autointerp.llm.session.server_checks import order_asks, order_fault
from autointerp.llm.wire import stated_context as stated
from autointerp.llm.wire.capabilities import ECHO, FORM, as_found
from autointerp.llm.wire.read_whole import UNPROBED, counted_share
from autointerp.llm.wire.render import render
from autointerp.reply_log import Call, ReplyLog

FORMS: tuple[StructuredForm, ...] = ("json_schema", "json_object", "structured_outputs", "guided_json")
"""In the order in which they are tried."""
CONTEXT, COUNTS = "context ", "counts "
"""In what is kept of a server: `context 8192` tokens, `counts 0.54` tokens a piece of text."""
GET_S = 5.0
"""Seconds for a look at what a server states."""
_ATTEMPTS = 3

_TEXT = """Excerpts of text, with a number in front of each token:
w1: |1|It|2| had|3| rained|4| all|5| day|6|,|7| and|8| the|9| river|10| ran|11| high|12| under|13| it
w2: |1|def|2| area|3|(|4|width|5|,|6| height|7|):|8| return|9| width|10| *|11| height|12| #|13| in|14| metres
w3: |1|On|2| 14|3| May|4| 1912|5| she|6| wrote|7|:|8| "|9|We|10| arrive|11| on|12| Tuesday|13| at|14| noon|15|."

Which colour does the sky have on a clear day?"""
_SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": ["red", "green", "blue"]},
        "excerpt": {"type": "integer", "enum": [1, 2, 3]},
    },
    "required": ["colour", "excerpt"],
    "additionalProperties": False,
}


def probe_ask(**more: object) -> Ask:
    """The probing request: nothing in it speaks of JSON."""
    return replace(Ask("probe", "", _TEXT, max_tokens=1000), **more)  # type: ignore[arg-type]


@dataclass
class Discovery:
    """What is found out about one model on one server. `found` is what the store knows of it."""

    route: Route
    log: ReplyLog
    found: set[str]
    stopped: Callable[[], bool]

    contexts: dict[tuple[str, str], int | None] = field(default_factory=dict)
    """What servers have stated to this run, by server and model: each is asked once."""

    @property
    def context(self) -> int | None:
        """What the run file says, else what the server states now, else what it stated last."""
        model = self.route.model
        if model.context_tokens is not None:
            return model.context_tokens
        stated_now = self.contexts.get((model.server, model.model))
        return self._stated_last() if stated_now is None else stated_now

    async def run(self, asks: Sequence[Ask]) -> None:
        """All of it, for a run that will send questions like `asks`. Raises ConfigError, ProviderError."""
        chats = [ask for ask in asks if ask.form == "chat"]
        stated_form = self.route.model.capabilities and self.route.model.capabilities.structured
        if any(ask.schema is not None for ask in chats) and stated_form is None:
            if not self._known(FORM):
                await self._form()
        elif chats and not self._known("answers"):
            self._take(await self._ask(probe_ask()))
        logprobs = max((ask.logprobs for ask in chats), default=0)
        if logprobs and "logprobs" not in self.found:
            await self._logprobs(logprobs)
        if any(ask.form == "echo" for ask in asks) and ECHO not in self.found:
            await self._echo()
        model = self.route.model
        if model.context_tokens is None and (model.server, model.model) not in self.contexts:
            tokens = self.contexts[model.server, model.model] = await self._stated()
            if tokens is None and self._stated_last() is None:
                self._keep("no context stated")
            elif tokens is not None and tokens != self._stated_last():
                self.log.keep_probe(model.server, model.model, f"{CONTEXT}{tokens}")
                self.found.add(f"{CONTEXT}{tokens}")

    # --- the forms of a schema

    async def _form(self) -> None:
        refused: dict[str, str] = {}
        cut: StructuredForm | None = None
        ignored = False
        for form in FORMS:
            try:
                ended = await self._ask(probe_ask(schema=_SCHEMA), form)
            except TurnedAway as error:
                if not _of_form(error):
                    raise
                refused[form] = error.fault.reason
                continue
            if ended.outcome.status == "over_budget":
                return
            if ended.outcome.status == "ok":
                self._take(ended)
                self._keep(f"{FORM}{form}")
                return
            if ended.outcome.status == "api_error":
                refused[form] = ended.outcome.reason
                continue
            ignored = True
            if ended.outcome.status in ("truncated", "empty") and cut is None:
                cut = form
        if not ignored:
            ended = await self._ask(probe_ask())
            if ended.outcome.status == "api_error":
                raise ConfigError(
                    self._line(f"does not answer: {ended.outcome.reason}", "look at the server's own log")
                )
            self._take(ended)
        self._keep(f"{FORM}{cut or 'prompt'}")

    # --- log probabilities

    async def _logprobs(self, wanted: int) -> None:
        do = "start it so that it gives them, leave logprobs out, or use another server"
        try:
            ended = await self._ask(probe_ask(logprobs=wanted, max_tokens=24))
        except TurnedAway as error:
            if not _of_form(error):
                raise
            raise ConfigError(self._line(f"gives no log probabilities: {error.fault.reason}", do)) from error
        if ended.outcome.status in ("unsupported", "api_error"):
            raise ConfigError(self._line(f"gives no log probabilities: {ended.outcome.reason}", do))
        if ended.reply is not None and ended.reply.tokens:
            self._keep("logprobs")

    async def _echo(self) -> None:
        do = 'use a server that does (vLLM), or another way to simulate: simulate = "sparse"'
        replies = []
        for ask in order_asks():
            try:
                ended = await self._ask(ask)
            except TurnedAway as error:
                if not _of_form(error) and error.fault.http_status != 404:
                    raise
                what = f"gives no log probabilities of a prompt: {error.fault.reason}"
                raise ConfigError(self._line(what, do)) from error
            replies.append(ended.reply.tokens if ended.reply and ended.outcome.status == "ok" else None)
        if fault := order_fault(replies):
            raise ConfigError(self._line(f"cannot be asked for log probabilities of a prompt: {fault}", do))
        self._keep(ECHO)

    # --- the context

    async def _stated(self) -> int | None:
        model = self.route.model
        listed = await self._get("/models")
        if (tokens := stated.in_models(listed, model.model)) is not None:
            return tokens
        if not model.loopback and model.server.startswith("https:"):
            return None  # a hosted gateway has none of the paths below
        root = model.server.removesuffix("/v1")
        if (tokens := stated.in_props(await self._get(f"{root}/props"))) is not None:
            return tokens
        facts = await self._get(f"{root}/api/v0/models/{quote(model.model, safe='')}")
        if (tokens := stated.in_one_model(facts)) is not None:
            return tokens
        if (tokens := stated.in_ps(await self._get(f"{root}/api/ps"), model.model)) is not None:
            return tokens
        body = json.dumps({"model": model.model}).encode()
        sent = await self.route.connect().post(f"{root}/api/show", body, GET_S)
        if sent.fault is None and (tokens := stated.in_show(sent.body)) is not None:
            return tokens
        return stated.in_info(await self._get(f"{root}/info")) or stated.trained_in_models(listed)

    async def _get(self, path: str) -> str:
        sent = await self.route.connect().get(path, GET_S)
        return "" if sent.fault is not None else sent.body

    # --- asking and keeping

    async def _ask(self, ask: Ask, form: StructuredForm | None = None) -> Ended:
        known = as_found(self.route.known, self.route.model, {ECHO, *self.found})
        known = known if form is None else replace(known, structured=form)
        model = self.route.model.model_copy(update={"attempts": _ATTEMPTS, "replies": 1, "max_tokens": None})
        route = replace(self.route, known=known, model=model, doubts=Doubts(), counted_share=0.0)
        request = render(ask, model, known)
        before = self.log.look_up([(request.hash, ask.sample)]).get((request.hash, ask.sample))
        errand = Errand(ask, request, before.attempts if before else 0)
        ended = await call(errand, route, self._log, self.stopped, lambda _yes: None)
        if ended.call is not None:
            self._log(errand, ended.call)
        if ended.reply is not None:
            self.route.doubts.answered()
        return ended

    def _log(self, errand: Errand, row: Call) -> None:
        self.log.append(row, errand.request.prefix_text)

    def _take(self, ended: Ended) -> None:
        """What a reply shows beside its text."""
        if ended.reply is None:
            return
        self._keep("answers")
        if ended.reply.usage is not None and ended.reply.usage.input_tokens:
            self._keep(f"{COUNTS}{counted_share(ended.reply.usage, _TEXT):.3f}")

    def _keep(self, what: str) -> None:
        if what not in self.found:
            self.found.add(what)
            self.log.keep_probe(self.route.model.server, self.route.model.model, what)

    def _known(self, what: str) -> list[str]:
        return [wish.removeprefix(what) for wish in sorted(self.found) if wish.startswith(what)]

    def _stated_last(self) -> int | None:
        """The latest that the store knows of."""
        model = self.route.model
        rows = [wish for server, name, wish in self.log.probed() if (server, name) == (model.server, model.model)]
        return next((int(wish.removeprefix(CONTEXT)) for wish in reversed(rows) if wish.startswith(CONTEXT)), None)

    def _line(self, what: str, do: str) -> str:
        return f'{self.route.model.server} with "{self.route.model.model}" {what}; {do}'


def share_of(wishes: set[str]) -> float:
    """Tokens a piece of text that the server was seen to count."""
    return next((float(wish.removeprefix(COUNTS)) for wish in sorted(wishes) if wish.startswith(COUNTS)), UNPROBED)


def _of_form(error: TurnedAway) -> bool:
    """Whether the server may take the same request in another form: it spoke, and not of key, credit or model."""
    fault = error.fault
    if fault.http_status is None:
        return False
    return fault.setting or fault.unclear or fault.meaning in ("again", "give_up")

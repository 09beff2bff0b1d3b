"""The addresses, and what answers: open the store, fill a page's dataclass, hand it to its template, let go.

    /                        overview
    /dictionary/NAME         its features, filtered and sorted by what stands behind the ?
    /feature/NAME/NUMBER     a feature
    /random/NAME             leads to one of its features
    /compare?a=&b=           two dictionaries beside each other
    /calls?dictionary=       calls of an LLM, narrowed down by feature, explainer and scorer
    /call/REQUEST            one of them: prompt, reply, cost
    /prompt?text=            the features that fire on a text; loads the subject
    /try/NAME/NUMBER?text=   what a text does to one feature; likewise
    /steer/NAME/NUMBER?text= the text goes on with a feature's direction added; likewise
    /vector/NAME/NUMBER.json a feature's direction; likewise
    /label/NAME/NUMBER       takes the form of a person's label; the only POST
    /sql?q=                  a statement of the reader's own

Each page is JSON with `.json` behind its address (/index.json for the first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from autointerp.browse.calls_data import load_call, load_calls
from autointerp.browse.compare_page_data import load_pair
from autointerp.browse.feature_data import load_neighbours, load_whole_feature, random_feature
from autointerp.browse.features_data import SORTS, STATUSES, load_features, read_choice
from autointerp.browse.guard import Guard
from autointerp.browse.kept_pages import KeptPages, state_of
from autointerp.browse.label_form import PREFIX, label_form, new_token
from autointerp.browse.overview_data import load_overview
from autointerp.browse.prompt_page_data import PromptForm, load_direction, load_text, load_tried
from autointerp.browse.prompt_session import PromptSession
from autointerp.browse.rendering import FOLDER, part, render
from autointerp.browse.sql_data import load_sql
from autointerp.browse.steer_page_data import SteerForm, SteerSession, load_steered
from autointerp.errors import AutointerpError, StoreError, UserError
from autointerp.show.plain_json import as_json
from autointerp.show.prompt_data import SORTS as PROMPT_SORTS
from autointerp.store.opening import StoreHeld
from autointerp.store.reader import StoreReader, open_reader
from autointerp.store.shared_reader import share_readers

JSON = ".json"
Load = Callable[[StoreReader, Request], object]


def make_app(store: Path, port: int, ahead: bool = False) -> Starlette:
    """The application of a store; `port`: the one that browsers name; `ahead`: when a feature has been shown, the pages
    of the features beside it are made before they are asked for."""

    token = new_token()
    share_readers(store)
    kept = KeptPages()

    def made(template: str | None, shown: object) -> bytes:
        """A page; without a template as JSON."""
        return render(template, page=shown, form_token=token, **_WORDS).encode() if template else as_json(shown)

    def page(template: str | None, load: Load, keep: bool = True) -> Callable[[Request], Response]:
        """What answers with a page; `keep`: it says the same as long as nobody writes to the store."""

        def answer(request: Request) -> Response:
            address = request.scope["path"], request.url.query
            with store_as_it_is() as (reader, state):
                body = kept.find(state, address) if keep else None
                shown = load(reader, request) if body is None else None
            if body is None:
                body = made(template, shown)
                if keep:
                    kept.keep(state, address, body)
            return Response(body, media_type="text/html" if template else "application/json")

        return answer

    @contextmanager
    def store_as_it_is() -> Iterator[tuple[StoreReader, object]]:
        """A reader, and the state of what it reads."""
        files = state_of(store)
        with open_reader(store) as reader:
            yield reader, files and (files, reader.notice)

    def make_beside(name: str, number: int) -> None:
        """Makes the pages that n and p lead to. Where that cannot be done, who asks for them is told."""
        with suppress(AutointerpError), store_as_it_is() as (reader, state):
            addresses = {f"/feature/{name}/{beside}": beside for beside in load_neighbours(reader, name, number)}
            for address, beside in addresses.items():
                if kept.find(state, (address, "")) is None:
                    shown = load_whole_feature(reader, name, beside)
                    kept.keep(state, (address, ""), made("feature.html", shown))

    def dictionary(request: Request) -> Response:
        """A dictionary may be called `a.json`: then that is its page, and its JSON is `a.json.json`."""
        name = request.path_params["name"]
        with open_reader(store) as reader:
            known = {row["dictionary"] for row in reader.rows("SELECT dictionary FROM dictionaries")}
        json = name.endswith(JSON) and name not in known
        request.path_params["name"] = name.removesuffix(JSON) if json else name
        return page(None if json else "dictionary.html", _features)(request)

    def any_feature(request: Request) -> Response:
        name = request.path_params["name"]
        with open_reader(store) as reader:
            feature = random_feature(reader, name)
        if feature is None:
            raise StoreError(f'"{name}" has not been extracted yet; `autointerp status` says what is done')
        return RedirectResponse(f"/feature/{part(name)}/{feature}", status_code=303)

    def feature(request: Request) -> Response:
        answer = page("feature.html", _feature)(request)
        answer.background = BackgroundTask(make_beside, *_named(request)) if ahead else None
        return answer

    app = Starlette(
        routes=[
            Route("/", page("overview.html", _overview)),
            Route("/index.json", page(None, _overview)),
            Route("/feature/{name:path}/{number:int}", feature),
            Route("/feature/{name:path}/{number:int}.json", page(None, _feature)),
            Route("/dictionary/{name:path}", dictionary),
            Route("/random/{name:path}", any_feature),
            Route("/compare", page("compare.html", _compare)),
            Route("/compare.json", page(None, _compare)),
            Route("/calls", page("calls.html", _calls)),
            Route("/calls.json", page(None, _calls)),
            Route("/call/{request:path}.json", page(None, _call)),
            Route("/call/{request:path}", page("call.html", _call)),
            Route("/prompt", page("prompt.html", _prompt, keep=False)),
            Route("/prompt.json", page(None, _prompt, keep=False)),
            Route("/try/{name:path}/{number:int}", page("try.html", _tried, keep=False)),
            Route("/try/{name:path}/{number:int}.json", page(None, _tried, keep=False)),
            Route("/steer/{name:path}/{number:int}", page("steer.html", _steered, keep=False)),
            Route("/steer/{name:path}/{number:int}.json", page(None, _steered, keep=False)),
            Route("/vector/{name:path}/{number:int}.json", page(None, _direction, keep=False)),
            Route(PREFIX + "{name:path}/{number:int}", label_form(store, token, port), methods=["POST"]),
            Route("/sql", page("sql.html", _sql, keep=False)),
            Route("/sql.json", page(None, _sql, keep=False)),
            *(Route(f"/{name}", _file(name, kind)) for name, kind in FILES.items()),
        ],
        middleware=[Middleware(Guard, port=port)],
        exception_handlers={AutointerpError: _refuse, HTTPException: _missing},
    )
    app.state.session = PromptSession(store)
    app.state.steering = SteerSession(store)
    return app


FILES = {"browse.css": "text/css", "browse.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""What stands beside the pages, and its type."""

_WORDS = {"sorts": SORTS, "statuses": STATUSES, "prompt_sorts": PROMPT_SORTS}


def _overview(store: StoreReader, _: Request) -> object:
    return load_overview(store)


def _features(store: StoreReader, request: Request) -> object:
    return load_features(store, request.path_params["name"], read_choice(request.query_params))


def _feature(store: StoreReader, request: Request) -> object:
    asked = _asked(request, "explainer")
    return load_whole_feature(store, request.path_params["name"], request.path_params["number"], asked["explainer"])


def _compare(store: StoreReader, request: Request) -> object:
    asked = _asked(request, "a", "b", "kind")
    return load_pair(store, asked["a"], asked["b"], asked["kind"])


def _calls(store: StoreReader, request: Request) -> object:
    asked = _asked(request, "dictionary", "feature", "explainer", "scorer")
    number = asked["feature"]
    if number and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise UserError(f'feature "{number}" is not a number')
    feature = int(number) if number else None
    return load_calls(store, asked["dictionary"], feature, asked["explainer"], asked["scorer"])


def _call(store: StoreReader, request: Request) -> object:
    return load_call(store, request.path_params["request"])


def _prompt(store: StoreReader, request: Request) -> object:
    asked = _asked(request, *PromptForm.__dataclass_fields__, "dictionary")
    names = tuple(name for name in request.query_params.getlist("dictionary") if name)
    form = PromptForm(**{name: value for name, value in asked.items() if name != "dictionary" and value})
    return load_text(store, request.app.state.session, form, names)


def _tried(store: StoreReader, request: Request) -> object:
    text = _asked(request, "text")["text"]
    return load_tried(store, request.app.state.session, *_named(request), text)


def _steered(store: StoreReader, request: Request) -> object:
    asked = _asked(request, *SteerForm.__dataclass_fields__)
    form = SteerForm(**{name: value for name, value in asked.items() if value})
    return load_steered(store, request.app.state.steering, *_named(request), form)


def _direction(store: StoreReader, request: Request) -> object:
    return load_direction(store, request.app.state.session, *_named(request))


def _named(request: Request) -> tuple[str, int]:
    return request.path_params["name"], request.path_params["number"]


def _sql(store: StoreReader, request: Request) -> object:
    return load_sql(store, _asked(request, "q")["q"])


def _asked(request: Request, *names: str) -> dict[str, str]:
    """The values behind the ?, by name. Raises UserError for a name that the page does not know."""
    for name in request.query_params:
        if name not in names:
            raise UserError(f'there is nothing called "{name}" to be asked here; there is {", ".join(names)}')
    return {name: request.query_params.get(name, "") for name in names}


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    def answer(_: Request) -> Response:
        return FileResponse(FOLDER / name, media_type=kind)

    return answer


def _refuse(request: Request, error: Exception) -> Response:
    """What could not be shown, in one line: 503 where a run holds the store, 404 where there is no such thing, 400
    where the question is wrong."""
    missing = isinstance(error, StoreError)
    status = 503 if isinstance(error, StoreHeld) else 404 if missing else 400
    return _said(request, str(error), status)


def _missing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _said(request, f"there is no page {request.url.path}" if status == 404 else str(error), status)


def _said(request: Request, message: str, status: int) -> Response:
    if request.url.path.endswith(JSON):
        return Response(as_json({"error": message}), status_code=status, media_type="application/json")
    return Response(render("refused.html", message=message), status_code=status, media_type="text/html")

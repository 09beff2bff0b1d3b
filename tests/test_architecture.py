"""Who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autointerp
from autointerp.words import STAGES

PACKAGE = Path(autointerp.__file__).parent
SUBJECT_HALF, LABEL_HALF = ("subject", "extract"), ("llm", "explain", "score", "compare")


def module_of(path: Path) -> str:
    """`autointerp.store.writer`; a package is called like its folder."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed_imports(tree: ast.AST) -> set[str]:
    """Modules, and names of modules, that are imported anywhere in the code, also inside functions.

    What only a type checker reads is left out.
    """
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in FILES else node.module for name in names}
        else:
            found |= parsed_imports(node)
    return found


FILES = {module_of(path): path for path in PACKAGE.rglob("*.py")}
IMPORTS = {module: parsed_imports(ast.parse(path.read_text(encoding="utf-8"))) for module, path in FILES.items()}
GRAPH = {module: {name for name in named if name in FILES and name != module} for module, named in IMPORTS.items()}
"""Which module of ours imports which; `from package import module` is an import of the module."""


def reached(module: str) -> dict[str, str]:
    """All modules that importing this one may load, each with the one that asks for it."""
    found, waiting = {module: ""}, [module]
    while waiting:
        asking = waiting.pop()
        for name in GRAPH[asking] - set(found):
            found[name] = asking
            waiting.append(name)
    return found


def way(module: str, target: str) -> str:
    """module <- ... <- target, for a message."""
    found, steps = reached(module), [target]
    while found[steps[-1]]:
        steps.append(found[steps[-1]])
    return " <- ".join(steps)


def inside(module: str, *folders: str) -> bool:
    return module.split(".")[1:2] != [] and module.split(".")[1] in folders


def test_there_is_no_circle() -> None:
    circles = [f"{a}: {way(b, a)}" for a in sorted(GRAPH) for b in GRAPH[a] if a in reached(b)]
    assert not circles, circles[:3]


def test_the_halves_do_not_reach_each_other() -> None:
    """Not even through others: torch never meets an LLM client below the pipeline."""
    for halves, others, outside in (
        (SUBJECT_HALF, LABEL_HALF, ("anthropic", "openai", "aiohttp", "genai_prices")),
        (LABEL_HALF, SUBJECT_HALF, ("torch", "transformers", "transformer_lens", "safetensors")),
    ):
        mine = [module for module in FILES if inside(module, *halves)]
        assert mine
        for module in mine:
            for name in reached(module):
                assert not inside(name, *others), way(module, name)
                for package in outside:
                    assert package not in {imported.split(".")[0] for imported in IMPORTS[name]}, way(module, name)


def test_halves_and_store_know_nothing_of_what_stands_above() -> None:
    for module in FILES:
        if inside(module, *SUBJECT_HALF, *LABEL_HALF, "store", "config"):
            for name in reached(module):
                assert not inside(name, "pipeline", "cli", "cli_read", "show", "demo", "train"), way(module, name)
        if inside(module, *SUBJECT_HALF, *LABEL_HALF, "config"):
            assert not [name for name in reached(module) if inside(name, "store")], module


def test_the_configuration_knows_no_client_and_the_words_know_nothing() -> None:
    for module in FILES:
        if inside(module, "config"):
            assert not [name for name in reached(module) if inside(name, *SUBJECT_HALF, *LABEL_HALF)], module
    assert GRAPH["autointerp.words"] == set()


def test_only_the_store_imports_duckdb() -> None:
    for module, named in IMPORTS.items():
        if not inside(module, "store"):
            assert not [name for name in named if name.split(".")[0] == "duckdb"], module


def test_a_stage_is_a_file_of_its_name_in_a_typed_dispatch() -> None:
    from autointerp.pipeline.run_stages import RUN

    assert tuple(RUN) == STAGES
    for stage, run in RUN.items():
        assert (run.__module__, run.__name__) == (f"autointerp.pipeline.stages.{stage}", "run")


@pytest.mark.parametrize(
    "statement",
    [
        "import autointerp",
        "import autointerp.cli",
        "import autointerp.explain.lexical, autointerp.score.scores",
        "import autointerp.llm.session.client, autointerp.llm.money.estimate",
        "import autointerp.config.run_file, autointerp.config.loading",
        "import autointerp.pipeline",
        "from autointerp.pipeline.plan.reask import Wish; from autointerp.pipeline.asking.delivery import Delivery",
        "from autointerp.pipeline.human_labels import add_label",
        "from autointerp import Scorer, OwnMetric, Explainer, EmbeddedExplainer, Questions",
    ],
)
def test_importing_is_light(statement: str) -> None:
    heavy = "{'torch', 'transformers', 'anthropic', 'openai', 'aiohttp', 'genai_prices'}"
    check = f"{statement}; import sys; loaded = {heavy} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_the_public_surface() -> None:
    for name in autointerp.__all__:
        assert getattr(autointerp, name) is not None
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = autointerp.no_such_thing

"""The self-test on the bundled text, and the file of its figures that the marks on pages are from.

python -m autointerp.pipeline.selftest autointerp/score/selftest/figures.json          writes it
python -m autointerp.pipeline.selftest autointerp/score/selftest/figures.json --check  exit status 1: it is out of date

Only tokens are needed: the text is tokenised as a run does it, and of the bundled model nothing but the unembedding is
read.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from autointerp.config.own_code import PYTHON, OwnCode
from autointerp.errors import UserError
from autointerp.generated import write_or_check
from autointerp.pipeline.selftest_tokens import planted_distractors
from autointerp.progress import Reporter, stderr_reporter
from autointerp.resources import BUNDLED
from autointerp.score.metric_registry import own_metric
from autointerp.score.scorers.protocol import Scorer
from autointerp.score.scorers.registry import SCORERS, scorers_of
from autointerp.score.selftest.figures import MetricFigures, to_json
from autointerp.score.selftest.text import SelftestText
from autointerp.score.selftest.trials import SelftestPlan, self_test
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import VALID
from autointerp.subject.vocabulary import piece_text

SUBJECT = BUNDLED / "subject"
CONTEXT_LENGTH, WINDOW = 128, 32


def bundled_text() -> SelftestText:
    """The bundled corpus in the bundled model's tokens; all of it counts as text that is scored."""
    tokenizer = Tokenizer.from_file(str(SUBJECT / "tokenizer.json"))
    texts = [piece_text(str(tokenizer.id_to_token(token)), True) for token in range(tokenizer.get_vocab_size())]
    bos = int(json.loads((SUBJECT / "config.json").read_text(encoding="utf-8"))["bos_token_id"])
    plan = TokenPlan(
        source="bundled:corpus",
        context_length=CONTEXT_LENGTH,
        n_tokens=None,
        allow_fewer=True,
        bos=bos,
        special=(bos,),
        d_vocab=len(texts),
        window=WINDOW,
        shares=(0.0, 0.0, 1.0),
        tokenizer="bundled",
    )

    def encode(documents: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in tokenizer.encode_batch(documents, add_special_tokens=False)]

    with tempfile.TemporaryDirectory() as folder:
        file = open_tokens(Path(folder), plan, encode, lambda _n: None)
        return SelftestText(
            tokens=np.array(file.tokens),
            scored=np.asarray(file.marks == VALID),
            valid=np.asarray((file.marks & VALID) > 0),
            document=file.document,
            block=file.block,
            texts=texts,
            special=frozenset({bos}),
            unembedding=load_file(SUBJECT / "model.safetensors")["lm_head.weight"].astype(np.float32),
            window=WINDOW,
        )


def plan_of(metrics: Sequence[str], scorers: Sequence[str], seed: int, n_features: int) -> SelftestPlan:
    """A self-test of all that the registries hold and of the user's own, given as `module:Class`. Raises UserError."""
    for option, specs in (("--metric", metrics), ("--scorer", scorers)):
        for spec in specs:
            if re.fullmatch(PYTHON, spec) is None:
                raise UserError(
                    f'{option} "{spec}" is not module:Class, as a run file names a class of your own; built-in ones '
                    "are always tried"
                )
            if specs.count(spec) > 1:
                raise UserError(f'{option} "{spec}" is given twice')
    own = tuple(own_metric(spec) for spec in metrics)
    tried: dict[str, Scorer] = {**SCORERS, **scorers_of(OwnCode(python=spec) for spec in scorers)}
    if len({(metric.name, metric.reads) for metric in own}) < len(own):
        raise UserError(f"--metric: two of {', '.join(metrics)} have the same name")
    if len(tried) < len(SCORERS) + len(scorers):
        raise UserError(f"--scorer: two of {', '.join(scorers)} have the same name")
    return SelftestPlan(seed=seed, n_features=n_features, scorers=tried, own=own)


def run_selftest(plan: SelftestPlan, reporter: Reporter) -> list[MetricFigures]:
    """The figures of all that `plan` names, on the bundled text."""
    text = bundled_text()
    with reporter.stage("self-test", plan.n_predictions, "predictions") as advance:
        try:
            return self_test(text, plan, partial(planted_distractors, text, plan.seed), advance)
        except ValueError as error:
            if "too few tokens" not in str(error):
                raise
            raise UserError(str(error)) from error


def run_as_text(plan: SelftestPlan, rows: Sequence[MetricFigures]) -> str:
    """The file of a run: JSON with a line for each metric."""
    head = {"seed": plan.seed, "n_features": plan.n_features, "densities": list(plan.densities)}
    lines = ",\n".join(f"  {json.dumps(to_json(row))}" for row in rows)
    return f'{{{json.dumps(head)[1:-1]}, "rows": [\n{lines}\n]}}\n'


if __name__ == "__main__":

    def made(_text: str) -> str:
        """The file as it should be."""
        plan = SelftestPlan()
        return run_as_text(plan, run_selftest(plan, stderr_reporter()))

    sys.exit(write_or_check(sys.argv[1:], made, __doc__))

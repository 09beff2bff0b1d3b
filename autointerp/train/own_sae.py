"""Train a small TopK SAE on your own model, with the subject and the text of a run file.

    python -m autointerp.train.own_sae mine.toml FOLDER --hook blocks.6.hook_resid_pre --width 2048 --k 24

1. The model is run once over documents of the explain split, as far as the hook. The SAE never sees the documents
   that scores are computed on. Where `n_tokens` of the run file is too little text for --read, more of the same source
   is read: a document is on the same side of the split however much is read. Activations lie in a temporary file:
   --read times the hook's width times 4 bytes.
2. Tokens of enormous norm are left out, as everywhere (`subject/outliers.py`): they would be most of what is learned.
3. --tokens activations are drawn, each several times where --read holds fewer, and `sae_trainer.py` trains on them.
4. FOLDER is written in SAELens's format: `cfg.json` and `sae_weights.safetensors`. A run file can name it.

It makes something to try the rest on, in some minutes on a CPU. An SAE for research has more features and is trained
on a thousand times as many tokens.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autointerp.config.loading import load_run
from autointerp.config.run_file import RunConfig
from autointerp.errors import InputError, UserError
from autointerp.pipeline.plan.prepare import token_plan
from autointerp.progress import Reporter, rising, stderr_reporter
from autointerp.records import Float32
from autointerp.subject.model import Subject
from autointerp.subject.opening import open_subject
from autointerp.subject.outliers import norm_limit_of, norms, past_limit
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import TokenFile
from autointerp.train.on_disk import save
from autointerp.train.paths import SEED
from autointerp.train.sae_trainer import BATCH, Recipe, train

CONTEXTS_AT_ONCE = 16
HELD_OUT_CONTEXTS = 64
"""Contexts of the select split by which the SAE is judged at the end."""


def open_enough(folder: Path, plan: TokenPlan, subject: Subject, n_read: int, reporter: Reporter) -> TokenFile:
    """The text of the plan, or as much more of its source as the explain split needs to hold `n_read` tokens.

    Splits are of whole documents, so that how much is enough is not known beforehand: it is doubled until it is.
    """
    if plan.n_tokens is not None and plan.n_tokens < n_read:
        plan = replace(plan, n_tokens=n_read, allow_fewer=True)
    while True:
        with reporter.stage("tokens", plan.n_tokens, "tokens") as advance:
            tokens = open_tokens(folder, plan, subject.encode_texts, rising(advance), subject.encode_chat)
        if plan.n_tokens is None or tokens.n_valid.sum() < plan.n_tokens:
            return tokens  # there is no more
        if tokens.scored(tokens.contexts_of("explain")).sum() >= n_read:
            return tokens
        plan = replace(plan, n_tokens=2 * plan.n_tokens, allow_fewer=True)


def read(subject: Subject, tokens: TokenFile, contexts: np.ndarray, hook: str) -> Iterator[Float32]:
    """Activations of the scored tokens of these contexts, some contexts at a time. [n, d_in]"""
    for first in range(0, len(contexts), CONTEXTS_AT_ONCE):
        rows = contexts[first : first + CONTEXTS_AT_ONCE]
        ids = torch.from_numpy(np.asarray(tokens.tokens[rows]).astype(np.int64)).to(subject.device)
        scored = torch.from_numpy(tokens.scored(rows))
        yield subject.activations(ids, [hook])[hook].cpu()[scored].numpy()


def without_outliers(activations: Float32, norm_limit: float) -> Float32:
    return np.asarray(activations[~past_limit(torch.from_numpy(activations), norm_limit).numpy()])


def batches(activations: Float32) -> Iterator[Tensor]:
    """Batches of random rows without end, each row once before any comes again."""
    generator = np.random.default_rng(SEED)
    while True:
        order = generator.permutation(len(activations))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            yield torch.from_numpy(activations[np.sort(order[first : first + BATCH])])


def build(config: RunConfig, folder: Path, recipe: Recipe, n_read: int, reporter: Reporter) -> float:
    """Trains, writes the folder, and returns the share of variance explained on documents of the select split.

    Raises UserError before anything is written where the hook, the text or the folder does not do.
    """
    if folder.exists():
        raise InputError(f'the folder "{folder}" is there already; name a new one')
    if not 0 < recipe.l0 < recipe.width:
        raise InputError(f"k = {recipe.l0} must be above 0 and below width = {recipe.width}")
    subject = open_subject(config)
    subject.check_hook(recipe.hook)
    plan = token_plan(config, subject)
    with tempfile.TemporaryDirectory() as temporary:
        tokens = open_enough(Path(temporary), plan, subject, n_read, reporter)
        usual, limit = read_usual(subject, tokens, recipe.hook, n_read, Path(temporary) / "activations", reporter)
        with reporter.stage("training", recipe.n_tokens, "tokens") as advance:
            dictionary = train(recipe, batches(usual), reporter.say, advance)
        others = tokens.contexts_of("select")[:HELD_OUT_CONTEXTS]
        held_out = without_outliers(np.concatenate([*read(subject, tokens, others, recipe.hook)]), limit)
    facts = {
        "model_name": config.subject.model,
        "context_size": plan.context_length,
        "prepend_bos": plan.bos is not None,
        "documents": f"explain split of {config.tokens.source}",
        "activations": len(usual),
        "norm_limit": limit,
    }
    save(replace(dictionary, metadata=dictionary.metadata | facts), folder, torch.float32)
    x = torch.from_numpy(held_out)
    left = (x - dictionary.decode(dictionary.encode(x))).square().sum() / (x - x.mean(0)).square().sum()
    return 1 - float(left)


def read_usual(
    subject: Subject, tokens: TokenFile, hook: str, n_read: int, file: Path, reporter: Reporter
) -> tuple[Float32, float]:
    """Activations of `n_read` tokens of the explain split without outliers, mapped from `file` [n, d_in]; and the norm
    past which a token is one."""
    contexts = np.random.default_rng(SEED).permutation(tokens.contexts_of("explain"))
    reached = np.cumsum(tokens.scored(contexts).sum(axis=1))
    contexts = contexts[: int(np.searchsorted(reached, n_read)) + 1]
    asked, n_read = n_read, int(reached[len(contexts) - 1])
    if n_read < asked:
        reporter.say(f"the explain split holds {n_read:,} tokens, fewer than the {asked:,} that were to be read")
    kept = np.memmap(file, np.float32, "w+", shape=(n_read, subject.width(hook)))
    n, limit = 0, 0.0
    with reporter.stage("activations", n_read, "tokens") as advance:
        for part in read(subject, tokens, contexts, hook):
            limit = limit or norm_limit_of(norms(torch.from_numpy(part)))
            usual = without_outliers(part, limit)
            kept[n : n + len(usual)] = usual
            n += len(usual)
            advance(len(part))
    if n < BATCH:
        raise InputError(f"the explain split holds {n:,} tokens, fewer than a batch of {BATCH:,}; give more text")
    reporter.say(f"{n_read - n:,} of {n_read:,} activations are outliers (norm above {limit:,.1f}) and left out")
    return kept[:n], limit


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("run", type=Path, help="a run file, whose [subject] and [tokens] are used")
    options.add_argument("folder", type=Path, help="the folder that is made; it must not be there yet")
    options.add_argument("--hook", required=True, help='hook point, such as "blocks.6.hook_resid_pre"')
    options.add_argument("--width", type=int, default=2_048, help="features (default: 2,048)")
    options.add_argument("--k", type=int, default=24, help="features that fire on each token (default: 24)")
    options.add_argument("--read", type=int, default=150_000, help="tokens that the model reads (default: 150,000)")
    options.add_argument("--tokens", type=int, default=800_000, help="tokens trained on (default: 800,000)")
    given = options.parse_args()
    try:
        recipe = Recipe(given.hook, given.width, "topk", given.k, given.tokens)
        explained = build(load_run(given.run), given.folder, recipe, given.read, stderr_reporter())
    except UserError as error:
        options.exit(2, f"{error}\n")
    print(f"{given.folder}: {given.width:,} features explain {explained:.1%} of the variance on other documents")


if __name__ == "__main__":
    main()

"""Train a sparse autoencoder on a stream of activations, on the CPU: the bundled ones, and one of your own.

1. Activations are scaled so that their mean norm is sqrt(d_in). The scale is folded into the biases when saved.
2. x_hat = acts W_dec + b_dec with acts from (x - b_dec) W_enc + b_enc; decoder rows kept at unit norm (gradient
   projected, then renormalised); W_enc starts as W_dec transposed, b_dec as the mean.
3. Sparsity, by kind:
   standard   ReLU and an L1 penalty (Bricken et al. 2023); its coefficient is steered until L0 meets the target
   batchtopk  the k largest a token on average over a batch (Bussmann et al. 2024); saved as a jumprelu with the
              running mean of the batches' smallest kept activation as threshold, as SAELens does
   topk       the k largest of each token (Gao et al. 2024)
4. Features that have not fired for a while are re-started from badly reconstructed tokens, a few times in the first
   half (Bricken et al. 2023).
5. Adam, linear decay over the last third; matrix products in bf16 where the CPU is faster at them than in float32.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from autointerp.train.on_disk import DictionaryOnDisk
from autointerp.train.paths import SEED

BATCH = 2_048
RESTARTS = (0.12, 0.24, 0.36, 0.5)
"""When dead features are re-started, as shares of the training."""
TRIED = 256
"""Rows and columns of the product that tells which number type is faster."""


@dataclass(frozen=True)
class Recipe:
    hook: str
    width: int
    kind: str
    """`standard`, `batchtopk` or `topk`"""
    l0: int
    """Wanted active features a token."""
    n_tokens: int
    learning_rate: float = 1e-3


def to_stdout(line: str) -> None:
    print(line, flush=True)


def bf16_is_faster() -> bool:
    """Whether this CPU multiplies in bf16 faster than in float32: one without such instructions is 100 times slower."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(TRIED, TRIED, dtype=dtype)
        tries = []
        for _ in range(4):  # the first one also prepares the routine
            begun = time.thread_time()
            matrix @ matrix
            tries.append(time.thread_time() - begun)
        seconds[dtype] = min(tries)
    return seconds[torch.bfloat16] < seconds[torch.float32]


def largest_of_batch(pre: Tensor, n: int, floor: float) -> float:
    """The n-th largest pre-activation of the batch; `floor` is a guess below it that saves sorting."""
    values = pre[pre > floor].float().numpy()
    if len(values) < n:
        values = pre.relu().flatten().float().numpy()
    return float(np.partition(values, len(values) - n)[len(values) - n])


def decode_top(indices: Tensor, values: Tensor, w_dec: Tensor) -> Tensor:
    """The sum of the decoder rows at `indices` [n, k] times `values`: the product without its zeros. [n, d_in]"""
    return nn.functional.embedding_bag(indices, w_dec, per_sample_weights=values.to(w_dec.dtype), mode="sum")


@torch.no_grad()
def restart(parameters: dict[str, nn.Parameter], optimizer: torch.optim.Adam, dead: Tensor, residual: Tensor) -> None:
    """Point dead features at the residuals of tokens drawn by their squared error."""
    n_dead = int(dead.sum())
    if n_dead == 0:
        return
    drawn = torch.multinomial(residual.pow(2).sum(1), n_dead, replacement=n_dead > len(residual))
    direction = nn.functional.normalize(residual[drawn], dim=1)
    norm = parameters["w_enc"][:, ~dead].norm(dim=0).mean()
    parameters["w_dec"][dead] = direction
    parameters["w_enc"][:, dead] = direction.T * norm
    parameters["b_enc"][dead] = 0.0
    for name, part in (("w_dec", (dead,)), ("w_enc", (slice(None), dead)), ("b_enc", (dead,))):
        for moment in ("exp_avg", "exp_avg_sq"):
            optimizer.state[parameters[name]][moment][part] = 0.0


def train(
    recipe: Recipe,
    stream: Iterator[Tensor],
    say: Callable[[str], None] = to_stdout,
    advance: Callable[[int], None] = lambda _: None,
) -> DictionaryOnDisk:
    """A dictionary for the activations of `stream`, [BATCH, d_in] each; `advance` is told of each batch's tokens."""
    torch.manual_seed(SEED)
    halved = bf16_is_faster()
    first = next(stream)
    d_in = first.shape[1]
    scale = d_in**0.5 / first.norm(dim=1).mean()
    w_dec = nn.functional.normalize(torch.randn(recipe.width, d_in), dim=1)
    parameters = {
        "w_enc": nn.Parameter(w_dec.T.clone()),
        "b_enc": nn.Parameter(torch.zeros(recipe.width)),
        "w_dec": nn.Parameter(w_dec),
        "b_dec": nn.Parameter(first.mean(0) * scale),
    }
    optimizer = torch.optim.Adam(parameters.values(), lr=recipe.learning_rate, betas=(0.9, 0.999))
    n_steps = recipe.n_tokens // BATCH
    restarts = {int(share * n_steps) for share in RESTARTS}
    penalty, threshold = 0.5, 0.0
    last_fired = torch.zeros(recipe.width)
    started = time.monotonic()
    for step in range(n_steps):
        x = next(stream) * scale
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
            pre = (x - parameters["b_dec"]) @ parameters["w_enc"] + parameters["b_enc"].to(
                torch.bfloat16 if halved else torch.float32
            )
        acts = pre.relu()
        if recipe.kind == "topk":
            top = acts.topk(recipe.l0, dim=1)
            x_hat = decode_top(top.indices, top.values, parameters["w_dec"]) + parameters["b_dec"]
            fires = top.values > 0
            fired = torch.zeros(recipe.width, dtype=torch.bool)
            fired[top.indices[fires]] = True
        else:
            if recipe.kind == "batchtopk":
                smallest = largest_of_batch(pre.detach(), recipe.l0 * len(x), 0.7 * threshold)
                acts = acts * (pre >= smallest)
                threshold = smallest if step == 0 else 0.99 * threshold + 0.01 * smallest
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
                x_hat = (acts @ parameters["w_dec"]).float() + parameters["b_dec"]
            fires = acts.detach() > 0
            fired = fires.any(0)
        error = (x - x_hat).pow(2).sum(1).mean()
        l0 = int(torch.count_nonzero(fires)) / len(x)
        loss = error
        if recipe.kind == "standard":
            loss = loss + penalty * min(1.0, 10 * step / n_steps) * acts.sum(1, dtype=torch.float32).mean()
            if 0.1 < step / n_steps < 0.9:
                penalty *= 1.0 + 0.02 * max(-1.0, min(1.0, (l0 - recipe.l0) / recipe.l0))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 100, 3 * (1 - step / n_steps))
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            gradient, rows = parameters["w_dec"].grad, parameters["w_dec"]
            assert gradient is not None
            gradient -= (gradient * rows).sum(1, keepdim=True) * rows
            nn.utils.clip_grad_norm_(parameters.values(), 100.0)
            optimizer.step()
            rows.div_(rows.norm(dim=1, keepdim=True))
        last_fired[fired] = step
        dead = last_fired < step - 0.06 * n_steps
        if step in restarts:
            restart(parameters, optimizer, dead, x - x_hat.detach())
            last_fired[dead] = step
        if step % 100 == 0 or step == n_steps - 1:
            unexplained = error.item() / float((x - x.mean(0)).pow(2).sum(1).mean())
            say(
                f"step {step}/{n_steps}: explained {1 - unexplained:.3f}, L0 {l0:.1f}, dead {int(dead.sum())}, "
                f"penalty {penalty:.2f}, {(step + 1) * BATCH / (time.monotonic() - started):,.0f} tokens/s"
            )
        advance(BATCH)
    done = {name: parameter.detach() for name, parameter in parameters.items()}
    return in_units_of_the_model(recipe, done, float(scale), threshold)


def in_units_of_the_model(
    recipe: Recipe, weights: dict[str, Tensor], scale: float, threshold: float
) -> DictionaryOnDisk:
    """The dictionary of activations that were not scaled."""
    return DictionaryOnDisk(
        architecture={"batchtopk": "jumprelu"}.get(recipe.kind, recipe.kind),
        hook=recipe.hook,
        w_enc=weights["w_enc"],
        b_enc=weights["b_enc"] / scale,
        w_dec=weights["w_dec"],
        b_dec=weights["b_dec"] / scale,
        threshold=torch.full((recipe.width,), threshold) / scale if recipe.kind == "batchtopk" else None,
        k=recipe.l0 if recipe.kind == "topk" else None,
        metadata={"trained_as": recipe.kind, "training_tokens": recipe.n_tokens // BATCH * BATCH, "seed": SEED},
    )

"""Train the three bundled SAEs on the subject's activations over its training text.

1. Activations at one hook point through TransformerBridge, BOS and padding dropped, shuffled in a buffer of contexts;
   scaled so that the mean norm is sqrt(d_in). The scale is folded into the biases when saved.
2. x_hat = acts W_dec + b_dec with acts from (x - b_dec) W_enc + b_enc; decoder rows kept at unit norm (gradient
   projected, then renormalised); W_enc starts as W_dec transposed, b_dec as the mean.
3. Sparsity, by recipe:
   standard   ReLU and an L1 penalty (Bricken et al. 2023); its coefficient is steered until L0 meets the target
   batchtopk  the k largest a token on average over a batch (Bussmann et al. 2024); saved as a jumprelu with the
              running mean of the batches' smallest kept activation as threshold, as SAELens does
   topk       the k largest of each token (Gao et al. 2024)
4. Features that have not fired for a while are re-started from badly reconstructed tokens, a few times in the first
   half (Bricken et al. 2023).
5. Adam, linear decay over the last third; matrix products in bf16, twice as fast as float32 on a CPU that has them.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from autointerp.train.on_disk import DictionaryOnDisk, save
from autointerp.train.paths import SEED, parser
from autointerp.train.subject import Contexts

BATCH = 2_048
BUFFER_CONTEXTS = 1_024
RESTARTS = (0.12, 0.24, 0.36, 0.5)
"""When dead features are re-started, as shares of the training."""


@dataclass(frozen=True)
class Recipe:
    hook: str
    read: str
    """The hook point that is read, in block 0 so that the forward pass can stop after it. `stop_at_layer=1` never
    reaches `blocks.1.hook_resid_pre` (a KeyError); `blocks.0.hook_resid_post` is the same tensor."""
    width: int
    kind: str
    """`standard`, `batchtopk` or `topk`"""
    l0: int
    """Wanted active features a token."""
    n_tokens: int
    learning_rate: float = 1e-3


MLP = "blocks.0.mlp.hook_post"
RECIPES = {
    "mlp-1k": Recipe(MLP, MLP, 1_024, "standard", 18, 4_000_000),
    "mlp-2k": Recipe(MLP, MLP, 2_048, "batchtopk", 24, 2_000_000),
    "resid-1k": Recipe("blocks.1.hook_resid_pre", "blocks.0.hook_resid_post", 1_024, "topk", 16, 3_000_000),
}


def load_subject(out: Path) -> TransformerBridge:
    bridge = TransformerBridge.boot_transformers(str(out / "subject"), device="cpu", dtype=torch.float32)
    return bridge.eval()


@torch.no_grad()
def activations(bridge: TransformerBridge, hook: str, tokens: Tensor, real: Tensor) -> Tensor:
    """[tokens that are not BOS or padding, d_in]"""
    _, cache = bridge.run_with_cache(tokens, names_filter=[hook], stop_at_layer=1, return_cache_object=False)
    activation: Tensor = cache[hook]
    return activation[real].float()


def batches(bridge: TransformerBridge, recipe: Recipe, contexts: Contexts) -> Iterator[Tensor]:
    generator = np.random.default_rng(SEED)
    while True:
        order = generator.permutation(len(contexts))
        for start in range(0, len(order) - BUFFER_CONTEXTS + 1, BUFFER_CONTEXTS):
            rows = order[start : start + BUFFER_CONTEXTS]
            pieces = [
                activations(bridge, recipe.read, *contexts.batch(part))
                for part in np.array_split(rows, BUFFER_CONTEXTS // 64)
            ]
            buffer = torch.cat(pieces)
            buffer = buffer[torch.from_numpy(generator.permutation(len(buffer)))]
            yield from torch.split(buffer[: len(buffer) // BATCH * BATCH], BATCH)


def largest_of_batch(pre: Tensor, n: int, floor: float) -> float:
    """The n-th largest pre-activation of the batch; `floor` is a guess below it that saves sorting."""
    values = pre[pre > floor].float().numpy()
    if len(values) < n:
        values = pre.relu().flatten().float().numpy()
    return float(np.partition(values, len(values) - n)[len(values) - n])


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


def train(recipe: Recipe, stream: Iterator[Tensor]) -> DictionaryOnDisk:
    torch.manual_seed(SEED)
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
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pre = (x - parameters["b_dec"]) @ parameters["w_enc"] + parameters["b_enc"].bfloat16()
        acts = pre.relu()
        if recipe.kind == "topk":
            top = acts.topk(recipe.l0, dim=1)
            acts = torch.zeros_like(acts).scatter(1, top.indices, top.values)
        elif recipe.kind == "batchtopk":
            smallest = largest_of_batch(pre.detach(), recipe.l0 * len(x), 0.7 * threshold)
            acts = acts * (pre >= smallest)
            threshold = smallest if step == 0 else 0.99 * threshold + 0.01 * smallest
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x_hat = (acts @ parameters["w_dec"]).float() + parameters["b_dec"]
        error = (x - x_hat).pow(2).sum(1).mean()
        fired = acts.detach() > 0
        l0 = int(torch.count_nonzero(fired)) / len(x)
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
        last_fired[fired.any(0)] = step
        dead = last_fired < step - 0.06 * n_steps
        if step in restarts:
            restart(parameters, optimizer, dead, x - x_hat.detach())
            last_fired[dead] = step
        if step % 100 == 0 or step == n_steps - 1:
            unexplained = error.item() / float((x - x.mean(0)).pow(2).sum(1).mean())
            print(
                f"step {step}/{n_steps}: explained {1 - unexplained:.3f}, L0 {l0:.1f}, dead {int(dead.sum())}, "
                f"penalty {penalty:.2f}, {(step + 1) * BATCH / (time.monotonic() - started):,.0f} tokens/s",
                flush=True,
            )
    done = {name: parameter.detach() for name, parameter in parameters.items()}
    dictionary = DictionaryOnDisk(
        architecture={"batchtopk": "jumprelu"}.get(recipe.kind, recipe.kind),
        hook=recipe.hook,
        w_enc=done["w_enc"],
        b_enc=done["b_enc"] / scale,
        w_dec=done["w_dec"],
        b_dec=done["b_dec"] / scale,
        k=recipe.l0 if recipe.kind == "topk" else None,
        metadata={"trained_as": recipe.kind, "training_tokens": n_steps * BATCH, "seed": SEED},
    )
    if recipe.kind == "batchtopk":
        return replace(dictionary, threshold=torch.full((recipe.width,), threshold) / scale)
    return dictionary


def build(work: Path, out: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    stored = np.load(work / "contexts.npz")
    contexts = Contexts(stored["tokens"], stored["lengths"])
    bridge = load_subject(out)
    for name in names:
        started = time.monotonic()
        print(name, flush=True)
        dictionary = train(RECIPES[name], batches(bridge, RECIPES[name], contexts))
        save(dictionary, out / "dictionaries" / name, torch.float16)
        save(dictionary, work / "dictionaries" / name, torch.float32)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(RECIPES)} (default: all)")
    given = options.parse_args()
    build(given.work, given.out, given.names or list(RECIPES))


if __name__ == "__main__":
    main()

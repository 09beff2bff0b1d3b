"""Which format it is, by the files that are there; paths of folders, files and the hub; what a run makes of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from local_server import LocalServer
from safetensors.torch import save_file

from autointerp.config.loading import parse_run
from autointerp.errors import InputError
from autointerp.pipeline.plan.prepare import check_paths, prepare
from autointerp.subject.formats import FORMATS, check_path, load_dictionary, resolve_dictionary
from autointerp.subject.formats.hub import parse_hub

WIDTH, N = 32, 48
HOOK = "blocks.1.hook_resid_post"


def write(folder: Path, format: str) -> Path:
    """The same weights in each format."""
    generator = torch.Generator().manual_seed(0)
    W_enc, W_dec = torch.randn(WIDTH, N, generator=generator), torch.randn(N, WIDTH, generator=generator)
    b_enc, b_dec = torch.randn(N, generator=generator), torch.zeros(WIDTH)
    folder.mkdir(parents=True, exist_ok=True)
    if format == "saelens":
        config = {"architecture": "standard", "d_in": WIDTH, "d_sae": N, "metadata": {"hook_name": HOOK}}
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file({"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}, folder / "sae_weights.safetensors")
    elif format == "dictionary_learning":
        config = {"trainer": {"dict_class": "AutoEncoder", "submodule_name": "resid_post_layer_1"}}
        (folder / "config.json").write_text(json.dumps(config))
        state = {"encoder.weight": W_enc.T, "decoder.weight": W_dec.T, "encoder.bias": b_enc, "bias": b_dec}
        torch.save(state, folder / "ae.pt")
    elif format == "sparsify":
        (folder / "cfg.json").write_text(json.dumps({"d_in": WIDTH, "num_latents": N, "k": N}))
        state = {"encoder.weight": W_enc.T.contiguous(), "W_dec": W_dec, "encoder.bias": b_enc, "b_dec": b_dec}
        save_file(state, folder / "sae.safetensors")
    elif format == "openai":
        state = {"encoder.weight": W_enc.T, "decoder.weight": W_dec.T, "latent_bias": b_enc, "pre_bias": b_dec}
        torch.save(state, folder / "8.pt")
    elif format == "gemma_scope":
        arrays = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec, "threshold": torch.zeros(N)}
        np.savez(folder / "params.npz", allow_pickle=False, **{name: value.numpy() for name, value in arrays.items()})
    elif format == "gemma_scope_2":
        state = {"w_enc": W_enc, "w_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec, "threshold": torch.zeros(N)}
        save_file(state, folder / "params.safetensors")
    elif format == "circuit_tracer":
        state = {"W_enc": W_enc.T.contiguous(), "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}
        save_file(state, folder / "layer_1.safetensors")
    elif format == "cross_layer":
        state = {"W_enc_1": W_enc.T.contiguous(), "b_enc_1": b_enc, "b_dec_1": b_dec}
        save_file(state, folder / "W_enc_1.safetensors")
        save_file({"W_dec_1": torch.stack([W_dec, W_dec], dim=1)}, folder / "W_dec_1.safetensors")
    elif format in ("llama_scope", "lm_saes"):
        config = {"act_fn": "relu", "hook_point_in": HOOK, "hook_point_out": HOOK, "norm_activation": "inference"}
        state = {"encoder.weight": W_enc.T.contiguous(), "encoder.bias": b_enc}
        state |= {"decoder.weight": W_dec.T.contiguous(), "decoder.bias": b_dec}
        if format == "llama_scope":
            (folder / "checkpoints").mkdir(exist_ok=True)
            config |= {"act_fn": "jumprelu", "jump_relu_threshold": 0.0}
        (folder / ("hyperparams.json" if format == "llama_scope" else "config.json")).write_text(json.dumps(config))
        save_file(state, folder / WEIGHTS[format])
    elif format == "qwen_scope":
        torch.save({"W_enc": W_enc.T, "W_dec": W_dec.T, "b_enc": b_enc, "b_dec": b_dec}, folder / "layer1.sae.pt")
    elif format == "state_dict":
        state = {"encoder_linear.weight": W_enc.T, "encoder_linear.bias": b_enc}
        torch.save(state | {"decoder_linear.weight": W_dec.T, "decoder_linear.bias": b_dec}, folder / "sae.pth")
    elif format == "kissane":
        torch.save({"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}, folder / "L1_Hcat_z.pt")
        settings = {"act_name": HOOK, "act_size": WIDTH, "dict_size": N}
        (folder / "L1_Hcat_z_cfg.json").write_text(json.dumps(settings))
    else:
        raise NotImplementedError(f"write a {format} dictionary here, and name its file in WEIGHTS")
    return folder


WEIGHTS = {
    "saelens": "sae_weights.safetensors",
    "dictionary_learning": "ae.pt",
    "sparsify": "sae.safetensors",
    "openai": "8.pt",
    "gemma_scope": "params.npz",
    "gemma_scope_2": "params.safetensors",
    "circuit_tracer": "layer_1.safetensors",
    "cross_layer": "W_enc_1.safetensors",
    "llama_scope": "checkpoints/final.safetensors",
    "lm_saes": "sae_weights.safetensors",
    "qwen_scope": "layer1.sae.pt",
    "state_dict": "sae.pth",
    "kissane": "L1_Hcat_z.pt",
}
STATED: dict[str, dict[str, Any]] = {"qwen_scope": {"k": N}, "state_dict": {"activation": "relu"}}
"""What the run file says, where the files do not."""


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- formats ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("asked", [False, True])
def test_a_folder_or_a_file_tells_its_format(format: str, asked: bool, tmp_path: Path) -> None:
    folder = write(tmp_path / "layers.1", format)
    given: dict[str, Any] = STATED.get(format, {}) | ({"format": format} if asked else {})
    x = torch.randn(9, WIDTH)
    for path in (folder, folder / WEIGHTS[format]):
        sae = load_dictionary(str(path), hook=HOOK, **given)
        assert (sae.format, sae.hook, sae.source) == (format, HOOK, str(path))
        torch.testing.assert_close(sae.encode(x), load_dictionary(str(write(tmp_path / "s", "saelens"))).encode(x))
    for config in folder.glob("*.json"):
        assert load_dictionary(str(config), hook=HOOK, **given).format == format


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("asked", FORMATS)
def test_another_format_than_asked_for_is_said_in_a_line(format: str, asked: str, tmp_path: Path) -> None:
    if format == asked:
        return
    folder = write(tmp_path / "layers.1", format)
    message = refusal(lambda: load_dictionary(str(folder), hook=HOOK, format=asked))
    assert message == (
        f'"{folder}": format = "{asked}" means {FORMATS[asked]}; what is there is in the format "{format}"'
    )
    file = folder / WEIGHTS[format]
    if file.suffix not in (".pt", ".pth"):
        assert f'what is there is in the format "{format}"' in refusal(
            lambda: load_dictionary(str(file), hook=HOOK, format=asked)
        )


def test_two_formats_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "saelens")
    write(tmp_path, "gemma_scope")
    message = refusal(lambda: load_dictionary(str(tmp_path), hook=HOOK))
    assert 'has files of the formats saelens and gemma_scope; say which: format = "saelens"' in message
    for format in ("saelens", "gemma_scope"):
        assert load_dictionary(str(tmp_path), hook=HOOK, format=format).format == format


def test_a_pt_file_is_what_lies_around_it(tmp_path: Path) -> None:
    folder = write(tmp_path, "dictionary_learning")
    (folder / "ae.pt").rename(folder / "mine.pt")
    assert load_dictionary(str(folder / "mine.pt")).format == "dictionary_learning"
    (folder / "config.json").unlink()
    assert load_dictionary(str(folder / "mine.pt"), format="dictionary_learning", hook=HOOK).d_in == WIDTH
    other = write(tmp_path / "o", "openai") / "8.pt"
    message = refusal(lambda: load_dictionary(str(other), format="dictionary_learning", hook=HOOK))
    assert "latent_bias, pre_bias) fit several; put the config beside ae.pt" in message


def test_nothing_to_read(tmp_path: Path) -> None:
    said = refusal(lambda: load_dictionary(str(tmp_path)))
    assert re.search(r"has no cfg\.json.*, and none of sae_weights\.safetensors", said)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    assert "its name does not tell the format" in refusal(
        lambda: load_dictionary(str(tmp_path / "weights.safetensors"))
    )
    assert 'there is no folder "nowhere"' in refusal(lambda: resolve_dictionary("nowhere"))
    assert 'there is no file "nowhere/ae.pt"' in refusal(lambda: resolve_dictionary("nowhere/ae.pt"))
    assert 'there is no format "saelans"; the nearest is "saelens"' in refusal(
        lambda: load_dictionary(str(tmp_path), format="saelans")
    )


def test_a_file_of_another_name_with_its_format(tmp_path: Path) -> None:
    folder = write(tmp_path, "saelens")
    (folder / "sae_weights.safetensors").rename(folder / "step_5000.safetensors")
    sae = load_dictionary(str(folder / "step_5000.safetensors"), format="saelens")
    assert (sae.n_features, sae.hook) == (N, HOOK)


# --- in a run ---------------------------------------------------------------------------------------


@pytest.fixture
def run_of(tiny_model: Path, tokens_npy: Path, tmp_path: Path) -> Callable[..., Any]:
    def make(processing: str = "raw", **dictionary: Any) -> Any:
        return parse_run(
            {
                "name": "tiny",
                "store": str(tmp_path / "tiny.duckdb"),
                "subject": {"model": str(tiny_model), "device": "cpu", "processing": processing},
                "tokens": {"source": f"npy:{tokens_npy}", "window": 7},
                "dictionary": [{"name": "d", **dictionary}],
            }
        )

    return make


@pytest.mark.parametrize("format", FORMATS)
def test_a_run_takes_every_format(format: str, run_of: Callable[..., Any], tmp_path: Path) -> None:
    folder = str(write(tmp_path / "layers.1", format))
    stated = STATED.get(format, {})
    prepared = prepare(run_of(path=folder, hook=HOOK, **stated))
    assert (prepared.saes["d"].format, prepared.hooks["d"]) == (format, HOOK)
    assert prepare(run_of(path=folder, hook=HOOK, format=format, **stated)).saes["d"].format == format


def test_the_subject_must_be_what_it_was_trained_on(run_of: Callable[..., Any], tmp_path: Path) -> None:
    folder = str(write(tmp_path / "layers.1", "sparsify"))
    assert prepare(run_of(path=folder)).saes["d"].processing == "raw"
    assert refusal(lambda: prepare(run_of("folded", path=folder))) == (
        'dictionary "d" was trained on the raw model, but [subject] has processing = "folded"; set it to "raw"'
    )
    unknown = str(write(tmp_path / "unknown", "saelens"))
    for processing in ("raw", "folded"):
        assert prepare(run_of(processing, path=unknown)).saes["d"].processing is None


def test_a_renamed_folder_is_other_work(run_of: Callable[..., Any], tmp_path: Path) -> None:
    """The hook comes from its name; the path itself is no part of a run's identity."""
    first, second = (write(tmp_path / name, "sparsify") for name in ("layers.0", "layers.1"))
    moved = first.parent / "moved" / "layers.0"
    runs = {prepare(run_of(path=str(folder))).run for folder in (first, second)}
    moved.parent.mkdir()
    first.rename(moved)
    assert len(runs) == 2
    assert prepare(run_of(path=str(moved))).run in runs


# --- the hub ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "repository", "inside", "revision", "place"),
    [
        ("hf://a/b", "a/b", "", None, ("a", "b")),
        ("hf://a/b/", "a/b", "", None, ("a", "b")),
        ("hf://a/b@main", "a/b", "", "main", ("a", "b")),
        ("hf://a/b/layers.6@refs/pr/1", "a/b", "layers.6", "refs/pr/1", ("a", "b", "layers.6")),
        ("hf://a/b/layer_0/params.npz?revision=0a1b", "a/b", "layer_0/params.npz", "0a1b", ("a", "b", "layer_0")),
        ("hf://a/b/folder/?revision=main", "a/b", "folder", "main", ("a", "b", "folder")),
        (
            "hf://google/gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_22",
            "google/gemma-scope-2b-pt-res",
            "layer_12/width_16k/average_l0_22",
            None,
            ("google", "gemma-scope-2b-pt-res", "layer_12", "width_16k", "average_l0_22"),
        ),
        ("hf://a/b/v5/8.pt@0a1b", "a/b", "v5/8.pt", "0a1b", ("a", "b", "v5")),
    ],
)
def test_hub_paths(path: str, repository: str, inside: str, revision: str | None, place: tuple[str, ...]) -> None:
    hub = parse_hub(path)
    assert (hub.repository, hub.inside, hub.revision, hub.place) == (repository, inside, revision, place)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("hf://a/b/layer_3.safetensors", {"layer_3.safetensors", "config.yaml"}),
        ("hf://a/b/W_enc_3.safetensors", {"W_enc_3.safetensors", "W_dec_3.safetensors", "config.yaml"}),
        ("hf://a/b/L5R-8x", {"L5R-8x/hyperparams.json", "L5R-8x/checkpoints/final.safetensors"}),
        ("hf://a/b/L5R-8x/checkpoints/final.safetensors", {"L5R-8x/hyperparams.json"}),
        ("hf://a/b/resid_post/layer_5", {"resid_post/layer_5/params.safetensors", "resid_post/layer_5/config.json"}),
        ("hf://a/b/L0_Hcat_z_v9.pt", {"L0_Hcat_z_v9.pt", "L0_Hcat_z_v9_cfg.json"}),
        ("hf://a/b/sae", {"sae/cfg.json", "sae/activation_scaler.json"}),
    ],
)
def test_what_is_fetched(path: str, wanted: set[str]) -> None:
    assert wanted <= set(parse_hub(path).patterns())


@pytest.mark.parametrize(
    "path",
    [
        "hf://",
        "hf://a",
        "hf://a/",
        "hf:///b",
        "hf://a/b@",
        "hf://a/../b",
        "hf://a/b//c",
        "hf://a/b/c*",
        "hf://a b",
        "hf://a/b?revision=",
    ],
)
def test_what_is_no_hub_path(path: str) -> None:
    assert refusal(lambda: check_path(path)).startswith(f'"{path}": a hub path is hf://owner/repository/folder')


def test_a_check_of_paths_fetches_nothing(run_of: Callable[..., Any]) -> None:
    check_paths(run_of(path="hf://nobody/nothing"))


def test_the_hub_switched_off() -> None:
    path = "hf://nobody/nothing/layers.6@main"
    message = f'"{path}": HF_HUB_OFFLINE is set and it is not in the cache; download the folder and give its path'
    assert refusal(lambda: resolve_dictionary(path)) == message


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as fetching takes: a revision, a listing, files. `asked` keeps what was asked."""

    root: Path
    asked: list[str]
    SHA = "0123456789abcdef0123456789abcdef01234567"

    def log_message(self, *values: Any) -> None:
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.asked.append(f"{self.command} {path}")
        repository = "/api/models/google/gemma-scope-2b-pt-res"
        if path.startswith("/api/models/slow/"):
            time.sleep(60)
        if path in (repository, f"{repository}/revision/main", f"{repository}/revision/{self.SHA}"):
            found = {"id": repository.removeprefix("/api/models/"), "sha": self.SHA, "siblings": [], "private": False}
            self.reply(200, json.dumps(found).encode(), Content_Type="application/json")
        elif path.startswith(f"{repository}/revision/"):
            self.reply(404, b"{}", X_Error_Code="RevisionNotFound")
        elif path.startswith(f"{repository}/tree/"):
            files = [file for file in sorted(self.root.rglob("*")) if file.is_file()]
            listing = [
                {"type": "file", "path": str(file.relative_to(self.root)), "size": file.stat().st_size, "oid": "0" * 40}
                for file in files
            ]
            self.reply(200, json.dumps(listing).encode(), Content_Type="application/json")
        elif f"/resolve/{self.SHA}/" in path:
            data = (self.root / path.split(f"/resolve/{self.SHA}/")[1]).read_bytes()
            etag = hashlib.sha256(data).hexdigest()
            self.reply(200, data, ETag=f'"{etag}"', X_Repo_Commit=self.SHA, X_Linked_Size=str(len(data)))
        elif path.startswith("/api/models/closed/"):
            self.reply(403, b"{}", X_Error_Code="GatedRepo")
        else:
            self.reply(401, b"{}", X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Address, folder and requests of a hub on this machine."""
    root, asked = tmp_path / "hub", list[str]()
    handler = type("Handler", (Hub,), {"root": root, "asked": asked})
    server = LocalServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", root, asked
    server.shutdown()
    server.server_close()


def loads(paths: list[str], address: str, cache: Path, **environment: str) -> list[str]:
    """What `load_dictionary` makes of hub paths, in a process of its own: the hub's client reads its settings once."""
    check = """
        import json, sys, time
        from autointerp.errors import InputError
        from autointerp.subject.formats import hub, load_dictionary
        hub.TIMEOUT_S = 1
        found = []
        for path in json.loads(sys.argv[1]):
            start = time.monotonic()
            try:
                sae = load_dictionary(path, hook=None if "layer_1" in path else "h")
                found.append(f"{sae.format} {sae.hook} {sae.n_features}")
            except InputError as error:
                found.append(str(error))
            assert time.monotonic() - start < 20, path
        print(json.dumps(found))
    """
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(cache),
        "HF_ENDPOINT": address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "NO_PROXY": "*",
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(check), json.dumps(paths)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_fetching_from_a_hub(hub: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, root, asked = hub
    write(root / "layer_1" / "width_16k" / "average_l0_22", "gemma_scope")
    write(root / "v5", "openai")
    (root / "layer_1" / "width_16k" / "average_l0_22" / "README.md").write_text("not wanted")
    (root / "empty").mkdir()
    (root / "empty" / "README.md").write_text("not wanted")
    repository = "hf://google/gemma-scope-2b-pt-res"
    folder = f"{repository}/layer_1/width_16k/average_l0_22"
    paths = [
        folder,
        f"{folder}@main",
        f"{repository}/v5/8.pt",
        f"{repository}/empty",
        f"{repository}/v5/9.pt",
        f"{folder}@nightly",
        "hf://nobody/nothing",
        "hf://closed/repository",
        "hf://slow/repository",
    ]
    found = loads(paths, address, tmp_path / "cache")
    assert found[:3] == [f"gemma_scope blocks.1.hook_resid_post {N}"] * 2 + [f"openai h {N}"]
    assert '"google/gemma-scope-2b-pt-res" has no files of a dictionary in "empty"' in found[3]
    assert 'has no file "v5/9.pt"' in found[4]
    assert '"google/gemma-scope-2b-pt-res" has no revision "nightly"' in found[5]
    assert 'there is no "nobody/nothing" on the hub, or it is not open to you' in found[6]
    assert '"closed/repository" is gated' in found[7]
    assert "the hub cannot be reached (" in found[8]
    assert "it is not in the cache; download the folder and give its path" in found[8]
    assert not any("\n" in message for message in found)
    assert not any("README" in request for request in asked), "only a dictionary's files are fetched"
    # What was fetched is there without the hub: switched off, and out of reach.
    asked.clear()
    assert loads([folder], address, tmp_path / "cache", HF_HUB_OFFLINE="1") == found[:1]
    assert asked == []
    nobody = "http://127.0.0.1:9"
    found = loads([folder, "hf://other/repository"], nobody, tmp_path / "cache")
    assert found[0] == f"gemma_scope blocks.1.hook_resid_post {N}"
    assert "the hub cannot be reached (" in found[1]

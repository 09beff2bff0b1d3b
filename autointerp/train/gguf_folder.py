"""Turn a GGUF file into an ordinary Hugging Face folder, which a run file can name as its subject.

    python -m autointerp.train.gguf_folder model.gguf FOLDER

A GGUF file is how llama.cpp keeps a model: one file, its weights often rounded to four bits. transformers reads it
(with the package `gguf`) and multiplies the rounded weights out. Here they are stored as they then are, so that the
folder is the model of the file, weight by weight: not the model that it was rounded from.
"""

import argparse
import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from autointerp.errors import InputError, UserError

TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
OF_THIS_MACHINE = ("_model_name_or_path", "_name_or_path", "is_local", "local_files_only")
"""Settings that say where a model was read from."""


def convert(file: Path, folder: Path, dtype: str = "float32") -> Any:
    """Writes the folder, and returns the model that transformers read from the file.

    float32 keeps each weight exactly. Raises InputError where the file cannot be read or the folder is there already.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not file.is_file():
        raise InputError(f'there is no file "{file}"')
    if folder.exists():
        raise InputError(f'the folder "{folder}" is there already; name a new one')
    try:
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=TYPES[dtype]).eval()
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except ImportError as error:
        raise InputError(f'"{file}" cannot be read: {first_line(error)}; pip install gguf') from error
    except Exception as error:  # transformers raises many kinds; each means that this file cannot be had
        raise InputError(f'"{file}" cannot be read: {first_line(error)}') from error
    # transformers refuses to store a model that it read from GGUF, so its weights go into a fresh one.
    config = deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(model)(config).to(TYPES[dtype])
    plain.load_state_dict(model.state_dict())
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    plain.save_pretrained(part)
    tokenizer.save_pretrained(part)
    tidy(part)
    part.rename(folder)
    return model


def tidy(folder: Path) -> None:
    """Takes out what is of this machine, and names the tokenizer's class as transformers 4 also knows it."""
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        for key in OF_THIS_MACHINE:
            settings.pop(key, None)
        if name == "tokenizer_config.json":
            settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        (folder / name).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path, help="the GGUF file")
    options.add_argument("folder", type=Path, help="the folder that is made; it must not be there yet")
    options.add_argument(
        "--dtype", choices=TYPES, default="float32", help="type of the stored weights (default: exact)"
    )
    given = options.parse_args()
    try:
        model = convert(given.file, given.folder, given.dtype)
    except UserError as error:
        options.exit(2, f"{error}\n")
    n = sum(weight.numel() for weight in model.parameters())
    print(f"{given.folder}: {type(model).__name__}, {n:,} weights, {model.config.num_hidden_layers} layers")


if __name__ == "__main__":
    main()

"""What the server knows: its settings, what it has counted, who has which fault, what is billed."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from typing import Any

WAITS = ("429_ms", "429_seconds", "429_date", "429_absent", "429_absurd", "429_nonsense", "529")
ERRORS = ("425", "500", "502", "503", "reset_before", "reset_mid", "cut", "html", "empty_body", "error_in_200")
WIRE = ("chunk_cut", "chunk_nonsense", "no_http", "gzip_broken", "no_utf8")
USELESS = ("malformed", "missing_key", "extra_key", "fenced", "trailing", "wrong_leaf", "out_of_range", "empty",
           "half_character")  # fmt: skip
ENDS = ("refusal", "truncated")
NO_USAGE = ("usage_none", "usage_negative", "usage_huge", "usage_infinite", "usage_words")  # the answer is good
FAULTS = WAITS + ERRORS + WIRE + USELESS + ENDS
FAULTY = "FAULTY"  # stands in every text of a faulted reply that could be mistaken for an answer

settings: dict[str, Any] = {
    "seed": 0, "faults": [], "share": 0.0, "latency_s": 0.0, "slow_s": 0.0, "always": None, "rpm": None,
    "logprobs": True, "schema": True, "shuffle_echo": False, "key": None, "answer": None, "extra_text": 0,
    "batches_end": True, "by_content": False, "cut_downloads": False, "credit": None,
}  # fmt: skip
count: dict[str, Any] = {}
seen: Counter[str] = Counter()
bucket = {"tokens": 0.0, "at": 0.0}
batches: dict[str, dict[str, Any]] = {}
uploads: dict[str, bytes] = {}


def reset_count() -> None:
    batches.clear()
    uploads.clear()
    seen.clear()
    count.clear()
    count.update(
        requests=0,
        billed=0,
        lost=0,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        lost_input_tokens=0,
        by_request={},
        faults={},
        in_flight=0,
        most_in_flight=0,
        bodies=[],
        starts=[],
    )


def unit(*parts: Any) -> float:
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def fault_for(request_hash: str, nth: int) -> str | None:
    if settings["always"]:
        return str(settings["always"])
    kinds: list[str] = settings["faults"]
    if kinds and unit(settings["seed"], request_hash, nth, "fault") < settings["share"]:
        return kinds[int(unit(settings["seed"], request_hash, nth, "kind") * len(kinds))]
    return None


def take_token() -> bool:
    now = time.monotonic()
    rate = settings["rpm"] / 60
    bucket["tokens"] = min(rate / 4, bucket["tokens"] + (now - bucket["at"]) * rate) if bucket["at"] else rate / 4
    bucket["at"] = now
    if bucket["tokens"] < 1:
        return False
    bucket["tokens"] -= 1
    return True


def bill(request_hash: str, usage: tuple[int, int, int, int], lost: bool) -> None:
    count["by_request"][request_hash] = count["by_request"].get(request_hash, 0) + 1
    count["billed"] += 1
    if lost:
        count["lost"] += 1
        return
    for name, tokens in zip(
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), usage, strict=True
    ):
        count[name] += tokens

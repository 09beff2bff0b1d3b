"""The token file against slow, obvious twins: cutting, splits, marks, counts, windows."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.errors import InputError
from autointerp.hashing import bytes_hash
from autointerp.records import N_BLOCKS, SPLITS
from autointerp.subject.loading import load_subject
from autointerp.subject.tokenise import TokenPlan, open_tokens
from autointerp.subject.tokens import DROPPED, SPECIAL, VALID, TokenFile

Plan = Callable[..., TokenPlan]
Tokenised = Callable[..., TokenFile]
SaveRows = Callable[[np.ndarray], str]


def write_jsonl(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return f"jsonl:{path}"


def some_texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcdefgh \n"), size=rng.integers(1, 90))) + f"{seed}-{i}" for i in range(n)]


def random_rows(n: int, length: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 61, size=(n, length))


def split_of(tokens: TokenFile) -> dict[str, str]:
    """Document hash -> split; fails where a document has two."""
    found: dict[str, str] = {}
    for digest, split in zip(tokens.document_hash, tokens.document_split, strict=True):
        assert found.setdefault(digest, SPLITS[split]) == SPLITS[split]
    return found


def scored_twin(tokens: TokenFile) -> list[tuple[int, int]]:
    """(context, place) of every scored token, one by one."""
    return [
        (context, place)
        for context in range(tokens.n_contexts)
        for place in range(tokens.context_length)
        if int(tokens.marks[context, place]) == VALID
    ]


def window_tuples(tokens: TokenFile, context: int) -> list[tuple[int, ...]]:
    """The tokens of each window of a context that would be scored if none were dropped."""
    found = []
    for first in range(0, tokens.context_length, tokens.window):
        places = range(first, min(first + tokens.window, tokens.context_length))
        kept = [p for p in places if tokens.marks[context, p] & VALID and not tokens.marks[context, p] & SPECIAL]
        found.append(tuple(int(tokens.tokens[context, p]) for p in kept))
    return found


def source_order(tokens: TokenFile) -> np.ndarray:
    """Context numbers in the order of the source."""
    return np.lexsort((tokens.offset, tokens.document))


# --- cutting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bos", [0, None])
def test_documents_are_cut_into_contexts(bos: int | None, tokenised: Tokenised, encode: Any, tmp_path: Path) -> None:
    texts = [*some_texts(40), "x" * 23, "y" * 46, "z" * 24]
    tokens = tokenised(write_jsonl(tmp_path / "a.jsonl", texts), bos=bos, context_length=24)
    room = 23 if bos is not None else 24
    expected = []
    for number, text in enumerate(texts):
        [ids] = encode([text])
        for first in range(0, len(ids), room):
            piece = ids[first : first + room]
            expected.append((number, first, [0, *piece] if bos is not None else piece))
    assert tokens.n_contexts == len(expected)
    for context, (document, offset, ids) in zip(source_order(tokens), expected, strict=True):
        valid = (tokens.marks[context] & VALID) > 0
        assert tokens.tokens[context][valid].tolist() == ids
        assert valid.tolist() == [True] * len(ids) + [False] * (24 - len(ids))
        assert (tokens.document[context], tokens.offset[context]) == (document, offset)
        special = np.flatnonzero(tokens.marks[context] & SPECIAL).tolist()
        assert special == ([0] if bos is not None else [])
    assert tokens.document_hash == [bytes_hash(text.encode()) for text in texts]


def test_the_contexts_of_a_split_stand_together(tokenised: Tokenised, tmp_path: Path) -> None:
    tokens = tokenised(write_jsonl(tmp_path / "a.jsonl", some_texts(60)), context_length=24)
    assert set(tokens.split) == {0, 1, 2}
    assert (np.diff(tokens.split) >= 0).all()
    for split in range(3):
        mine = tokens.split == split
        assert (source_order(tokens)[mine[source_order(tokens)]] == np.flatnonzero(mine)).all()
    assert not list(tokens.folder.glob("*.[0-9]"))


def test_rows_of_an_array_are_contexts_as_they_are(npy_tokens: TokenFile, token_array: np.ndarray) -> None:
    order = source_order(npy_tokens)
    np.testing.assert_array_equal(npy_tokens.tokens[order], token_array)
    np.testing.assert_array_equal((npy_tokens.marks[order] & SPECIAL) > 0, token_array <= 1)  # ids 0 and 1, wherever
    assert ((npy_tokens.marks & VALID) > 0).all()
    assert npy_tokens.document[order].tolist() == list(range(90))
    assert not npy_tokens.offset.any()


def test_a_bos_is_put_before_array_rows(tokenised: Tokenised, save_rows: SaveRows) -> None:
    rows = random_rows(50)
    plain = tokenised(save_rows(rows), bos=None, context_length=6)
    tokens = tokenised(save_rows(rows), bos=0, context_length=7)
    np.testing.assert_array_equal(tokens.tokens[source_order(tokens), 1:], rows)
    assert not tokens.tokens[:, 0].any()
    assert ((tokens.marks & SPECIAL) > 0).sum() == 50
    assert split_of(tokens) == split_of(plain)  # a document is its text, not its BOS
    rows[17, 0] = 0
    with pytest.raises(InputError, match="row 17, begins with the BOS id 0 already"):
        tokenised(save_rows(rows), bos=0, context_length=7)


def test_special_tokens_written_out_in_a_text_are_text(plan: Plan, tmp_path: Path) -> None:
    subject = load_subject("bundled:subject", None, "raw", "float32", "cpu")
    vocabulary = subject.vocabulary()
    assert vocabulary[0] == "<|endoftext|>"
    texts = [f"before {i} <|endoftext|> after\n<|endoftext|>" for i in range(40)]
    wanted = plan(
        write_jsonl(tmp_path / "a.jsonl", texts),
        special=subject.special,
        bos=subject.bos,
        d_vocab=subject.d_vocab,
        context_length=64,
        window=32,
    )
    tokens = open_tokens(tmp_path / "work", wanted, subject.encode_texts, lambda _: None)
    for context, text in zip(source_order(tokens), texts, strict=True):
        valid = (tokens.marks[context] & VALID) > 0
        ids = tokens.tokens[context][valid]
        assert ids[0] == 0
        assert 0 not in ids[1:]
        assert "".join(vocabulary[i] for i in ids[1:]) == text
        assert ((tokens.marks[context][valid] & SPECIAL) > 0).tolist() == [True] + [False] * (len(ids) - 1)


@pytest.mark.parametrize("wrong", [61, -1, 2**31])
def test_ids_out_of_range_are_named(wrong: int, tokenised: Tokenised, save_rows: SaveRows, tmp_path: Path) -> None:
    rows = random_rows(30)
    rows[11, 3] = wrong
    with pytest.raises(InputError, match=rf"row 11: token id {wrong} is out of range; .* ids 0 to 60"):
        tokenised(save_rows(rows), bos=None, context_length=6)
    source = write_jsonl(tmp_path / "a.jsonl", ["fine", "bad"])
    with pytest.raises(InputError, match=f"2: token id {wrong} is out of range"):
        open_tokens(
            tmp_path / "w",
            TokenPlan(source, 24, None, False, 0, (0,), 61, 7, (0.5, 0.2, 0.3), ""),
            lambda texts: [[wrong if text == "bad" else 5] for text in texts],
            lambda _: None,
        )


def test_a_text_source_needs_a_tokenizer(plan: Plan, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", some_texts(3))
    with pytest.raises(InputError, match="no tokenizer"):
        open_tokens(tmp_path / "work", plan(source), None, lambda _: None)


# --- how many ---------------------------------------------------------------------------------------


def test_n_tokens_stops_at_the_context_that_reaches_it(tokenised: Tokenised, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", some_texts(200))
    whole = tokenised(source)
    in_order = whole.tokens[source_order(whole)]
    lengths = [int((whole.marks[context] & VALID > 0).sum()) for context in source_order(whole)]
    assert len(set(lengths)) > 5
    for n in (1000, 1001, 1700, sum(lengths)):
        tokens = tokenised(source, n_tokens=n)
        fewest = next(c for c in range(1, len(lengths) + 1) if sum(lengths[:c]) >= n)
        assert tokens.n_contexts == fewest
        np.testing.assert_array_equal(tokens.tokens[source_order(tokens)], in_order[:fewest])
        assert len(tokens.document_name) == tokens.document.max() + 1
    with pytest.raises(InputError, match=rf"holds {sum(lengths):,} tokens, fewer than n_tokens = {sum(lengths) + 1:,}"):
        tokenised(source, n_tokens=sum(lengths) + 1)
    assert tokenised(source, n_tokens=10**9, allow_fewer=True).n_contexts == whole.n_contexts


def test_a_corpus_without_text_is_refused(tokenised: Tokenised, tmp_path: Path) -> None:
    for texts in ([], [" \n", "\t"]):
        with pytest.raises(InputError, match="holds no text"):
            tokenised(write_jsonl(tmp_path / "a.jsonl", texts))
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(InputError, match="holds no text"):
        tokenised(f"text:{tmp_path / 'empty.txt'}")


@pytest.mark.parametrize("texts", [["only one"], ["the same"] * 30])
def test_one_document_cannot_be_split(texts: list[str], tokenised: Tokenised, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"has {len(texts)} document\(s\), and none of them falls into the"):
        tokenised(write_jsonl(tmp_path / "a.jsonl", texts))


# --- splits -----------------------------------------------------------------------------------------


def test_a_document_keeps_its_split_and_block_in_any_corpus(tokenised: Tokenised, tmp_path: Path) -> None:
    shared, mine, yours = some_texts(150, 1), some_texts(150, 2), some_texts(60, 3)
    first = tokenised(write_jsonl(tmp_path / "a.jsonl", shared + mine + shared[:40]))
    second = tokenised(
        write_jsonl(tmp_path / "b.jsonl", yours + shared[::-1]), bos=None, context_length=16, window=4, special=()
    )
    one, two = split_of(first), split_of(second)
    common = set(one) & set(two)
    assert len(common) == 150
    assert {digest: one[digest] for digest in common} == {digest: two[digest] for digest in common}
    blocks = [dict(zip(t.document_hash, t.document_block.tolist(), strict=True)) for t in (first, second)]
    assert {digest: blocks[0][digest] for digest in common} == {digest: blocks[1][digest] for digest in common}
    assert {one[digest] for digest in common} == set(SPLITS)


@pytest.mark.parametrize("shares", [(0.5, 0.2, 0.3), (0.1, 0.0, 0.9), (0.8, 0.15, 0.05)])
def test_shares_are_right_within_sampling_error(
    shares: tuple[float, float, float], tokenised: Tokenised, save_rows: SaveRows
) -> None:
    n = 4000
    tokens = tokenised(save_rows(random_rows(n)), bos=None, context_length=6, shares=shares)
    for index, share in enumerate(shares):
        found = int((tokens.document_split == index).sum())
        assert abs(found - n * share) <= 4 * (n * share * (1 - share)) ** 0.5
        assert len(tokens.contexts_of(SPLITS[index])) == found
    counts = np.bincount(tokens.document_block, minlength=N_BLOCKS)
    assert len(counts) == N_BLOCKS
    assert ((counts - n / N_BLOCKS) ** 2 / (n / N_BLOCKS)).sum() < 70  # chi square, 31 degrees: p = 1e-4
    # blocks say nothing about splits: each split has its share of blocks
    in_first = np.bincount(tokens.document_block[tokens.document_split == 0], minlength=N_BLOCKS)
    assert (in_first > 0).all()


def test_windows_that_stand_in_another_split_are_dropped_and_only_those(tokenised: Tokenised, tmp_path: Path) -> None:
    licence = "Licensed under the terms of something; no warranty of any kind."  # 63 characters, 2 windows and a bit
    rare = [f"{i:02d} a header that three documents have" for i in range(40)]
    texts = [licence + text if i % 2 else rare[i // 3] + text for i, text in enumerate(some_texts(120))]
    texts += ["tail of its own " + "q" * (i % 3) for i in range(12)]
    tokens = tokenised(write_jsonl(tmp_path / "a.jsonl", texts), context_length=40, window=10)
    mine, in_select, in_score = (
        {
            window
            for context in range(tokens.n_contexts)
            if tokens.split[context] == split
            for window in window_tuples(tokens, context)
            if window
        }
        for split in range(3)
    )
    elsewhere = in_select | in_score
    assert mine & (in_select - in_score), "some stand in select alone,"
    assert mine & (in_score - in_select), "some in score alone"
    assert in_select & in_score, "some in both: they are dropped from select"
    n_dropped = n_kept = n_tokens = n_of_select = 0
    for context in range(tokens.n_contexts):
        for index, window in enumerate(window_tuples(tokens, context)):
            places = slice(index * 10, index * 10 + 10)
            marks = tokens.marks[context, places]
            dropped = (marks & DROPPED) > 0
            text = ((marks & VALID) > 0) & ((marks & SPECIAL) == 0)
            if tokens.split[context] == 0 and window in elsewhere:
                np.testing.assert_array_equal(dropped, text)
                n_dropped += 1
                n_tokens += len(window)
            elif tokens.split[context] == 1 and window in in_score:
                np.testing.assert_array_equal(dropped, text)
                n_of_select += 1
            else:
                assert not dropped.any()
                n_kept += bool(window)
    facts = tokens.facts("explain")
    assert (facts["n_windows_dropped"], facts["n_tokens_dropped"]) == (n_dropped, n_tokens)
    assert n_dropped > 60, "the licence must be there to be dropped"
    assert n_kept > 200
    assert tokens.facts("select")["n_windows_dropped"] == n_of_select
    assert tokens.facts("score")["n_windows_dropped"] == 0


# --- counts and windows -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["npy", "text"])
def tokens(request: Any, tokenised: Tokenised, npy_tokens: TokenFile, tmp_path_factory: Any) -> TokenFile:
    """Ragged in every way: padding, special tokens, dropped windows; 24 is no multiple of 7."""
    if request.param == "npy":
        return npy_tokens
    texts = some_texts(150) + ["a header that everybody has. " + text for text in some_texts(60, 7)]
    source = write_jsonl(tmp_path_factory.mktemp("text") / "a.jsonl", texts)
    found = tokenised(source, special=(0, 1, 2 + ord("a") % 50))
    assert found.facts("explain")["n_windows_dropped"] > 0
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_counts_by_token_pair_and_block(split: Any, tokens: TokenFile) -> None:
    singles: Counter[tuple[int, int]] = Counter()
    pairs: Counter[tuple[int, int, int]] = Counter()
    for context, place in scored_twin(tokens):
        if SPLITS[tokens.split[context]] == split:
            token = int(tokens.tokens[context, place])
            before = int(tokens.tokens[context, place - 1]) if place else -1
            block = int(tokens.block[context])
            singles[block, token] += 1
            pairs[block, before, token] += 1
    assert len(pairs) > 50
    counts = tokens.block_counts(split, 61)
    expected = np.zeros((N_BLOCKS, 61), dtype=np.int64)
    for (block, token), n in singles.items():
        expected[block, token] = n
    np.testing.assert_array_equal(counts.tokens, expected)
    np.testing.assert_array_equal(counts.n_tokens, expected.sum(axis=1))
    keys = list(zip(counts.pair_block.tolist(), counts.pair_previous.tolist(), counts.pair_token.tolist(), strict=True))
    assert keys == sorted(pairs)
    assert counts.pair_count.tolist() == [pairs[key] for key in keys]

    np.testing.assert_array_equal(tokens.count_tokens(split, 61), expected.sum(axis=0))
    total: Counter[int] = Counter()
    for (_, before, token), n in pairs.items():
        total[(before + 1) * 61 + token] += n
    wanted = np.random.default_rng(0).permutation(np.array([*list(total)[::2], 7, 61 * 62 - 1, *list(total)[:3]]))
    found = tokens.count_pairs(split, wanted, 61)
    assert found.tolist() == [total[int(pair)] for pair in wanted]
    assert tokens.count_pairs(split, np.zeros(0, np.int64), 61).tolist() == []


def test_windows_are_the_tokens_of_their_places(tokens: TokenFile) -> None:
    n = tokens.windows_per_context
    assert n == 4
    numbers = np.random.default_rng(1).permutation(tokens.n_contexts * n)[:200]
    windows = tokens.windows(numbers)
    assert windows.tokens.shape == (200, 7)
    for row, number in enumerate(numbers.tolist()):
        context, index = divmod(number, n)
        assert (windows.window[row], windows.context[row]) == (number, context)
        assert windows.block[row] == tokens.block[context]
        for column in range(7):
            place = index * 7 + column
            inside = place < 24
            assert windows.scored[row, column] == (inside and tokens.marks[context, place] == VALID)
            assert windows.tokens[row, column] == (tokens.tokens[context, place] if inside else 0)
            if inside:
                before = tokens.tokens[context, place - 1] if place else -1
                assert windows.previous[row, column] == before
    assert not windows.scored[numbers % 4 == 3, 3:].any(), "24 = 3 x 7 + 3"


def test_facts_and_scored_windows(tokens: TokenFile) -> None:
    scored = scored_twin(tokens)
    for index, split in enumerate(SPLITS):
        mine = [(context, place) for context, place in scored if tokens.split[context] == index]
        windows = sorted({context * 4 + place // 7 for context, place in mine})
        assert tokens.scored_windows(split).tolist() == windows
        facts = tokens.facts(split)
        assert facts["n_tokens"] == len(mine) > 0
        assert facts["n_windows"] == len(windows)
        assert facts["n_contexts"] == int((tokens.split == index).sum())
        assert facts["n_documents"] == sum(tokens.document_split == index)


# --- on disk ----------------------------------------------------------------------------------------


def no_encoding(_texts: list[str]) -> list[list[int]]:
    raise AssertionError("tokenised again")


def test_the_token_file_is_made_once(plan: Plan, encode: Any, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", some_texts(50))
    work = tmp_path / "work"
    told: list[int] = []
    first = open_tokens(work, plan(source), encode, told.append)
    assert told == sorted(told)
    assert told[-1] == int((first.marks & VALID > 0).sum())
    second = open_tokens(work, plan(source), no_encoding, told.append)
    np.testing.assert_array_equal(first.tokens, second.tokens)
    other = open_tokens(work, plan(source, window=5), encode, told.append)
    assert other.folder != first.folder
    assert {path.name for path in work.iterdir()} == {first.folder.name, other.folder.name}


def test_a_changed_source_is_tokenised_again(plan: Plan, encode: Any, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", some_texts(50))
    assert len(open_tokens(tmp_path / "work", plan(source), encode, lambda _: None).document_name) == 50
    write_jsonl(tmp_path / "a.jsonl", some_texts(51))
    second = open_tokens(tmp_path / "work", plan(source), encode, lambda _: None)
    assert len(second.document_name) == 51


@pytest.mark.parametrize("change", ["cut", "longer", "another file", "touched"])
def test_a_source_that_changes_while_it_is_read(change: str, plan: Plan, encode: Any, tmp_path: Path) -> None:
    """Half of a file that somebody cuts, at a line's end, would be the corpus without a word."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in enumerate(some_texts(300)):
        (folder / f"{name:03}.txt").write_text(text)
    done: list[str] = []

    def changing(batch: list[str]) -> list[list[int]]:
        if not done:
            done.append(change)
            if change == "cut":
                os.truncate(folder / "299.txt", 10)
            elif change == "longer":
                with (folder / "000.txt").open("a") as file:
                    file.write("more")
            elif change == "another file":
                (folder / "x.txt").write_text("new")
            else:
                os.utime(folder / "000.txt", (1, 1))
        return list(encode(batch))

    work = tmp_path / "work"
    if change == "touched":
        assert len(open_tokens(work, plan(f"text:{folder}"), changing, lambda _: None).document_name) == 300
        return
    with pytest.raises(InputError, match=r'texts" has changed while it was read; wait until its files are written, or'):
        open_tokens(work, plan(f"text:{folder}"), changing, lambda _: None)
    assert not work.exists()


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("fault", ["bad line", "interrupt", "too few"])
@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_left_after_an_error(fault: str, there: bool, plan: Plan, encode: Any, tmp_path: Path) -> None:
    work = tmp_path / "work"
    if there:
        work.mkdir()
        (work / "mine").write_text("kept")
    texts = some_texts(300)
    source = write_jsonl(tmp_path / "a.jsonl", texts)
    calls = 0

    def interrupted(batch: list[str]) -> list[list[int]]:
        nonlocal calls
        calls += 1
        if fault == "interrupt" and calls == 3:
            raise Interrupt
        return list(encode(batch))

    if fault == "bad line":
        with (tmp_path / "a.jsonl").open("a") as file:
            file.write("{\n")
    with pytest.raises(Interrupt if fault == "interrupt" else InputError):
        open_tokens(work, plan(source, n_tokens=10**6 if fault == "too few" else None), interrupted, lambda _: None)
    assert calls >= 3
    assert [path.name for path in tmp_path.rglob("*")] == (["a.jsonl", "work", "mine"] if there else ["a.jsonl"])

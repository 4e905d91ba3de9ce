"""Text as hashed tokens, by arithmetic that NumPy and Keras have in common.

Keras has no layer that hashes words: one splits, but only looks up; another hashes, but does not
split. What it has is a layer that looks up characters. So a token is found and hashed from the
numbers of its characters, and this file says how, for the workers and the saved model alike.

A token is a run of letters and digits, ASCII capitals being small letters; or, since Japanese and
Chinese have no blanks, each two neighbours in a run of their characters (as Lucene's CJK analyser
does). Everything else is between tokens.

Shapes: B texts, L characters of each that count, T tokens.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]

# The numbers of the characters, and with them the hashes, follow from these ranges: they are part
# of every saved model, so they must not change. Python's own classes change with its versions.
_WORD_RANGES = (
    *((0x30, 0x39), (0x61, 0x7A)),
    *((0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F)),
    (0x370, 0x1FFF),  # from Greek to all scripts that are written in letters
    (0xAC00, 0xD7A3),  # Hangul
    *((0xFF10, 0xFF19), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
)
_CJK_RANGES = (
    *((0x3005, 0x3007), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x30FC, 0x30FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D)),
)


_FIRST_CJK = 2 + sum(last - first + 1 for first, last in _WORD_RANGES)

# So many characters of a text count for each of its tokens.
_CHARACTERS_EACH = 8
# Steele, Vigna: Computationally easy, spectrally good multipliers, 2021: for 32 bits.
_BASE = 0x93D765DD
# 2**32 over the golden ratio (Knuth: The art of computer programming, 6.4).
_MIX = np.array(0x9E3779B1, np.uint32).astype(np.int32)
_DROPPED = 1 << 8


def list_characters() -> list[str]:
    """Return all characters of tokens.

    The number of one is its place here, plus 2: 0 is behind the end of a text, 1 any other
    character, as `keras.layers.TextVectorization` has it.
    """
    ranges = (*_WORD_RANGES, *_CJK_RANGES)
    return [chr(code) for first, last in ranges for code in range(first, last + 1)]


def text_length(tokens: int) -> int:
    """Return the number of characters of a text that count for so many tokens."""
    return _CHARACTERS_EACH * tokens


def number_characters(texts: list[str], tokens: int) -> Int32:
    """Return the numbers of the characters of texts, (B, L): L of the longest that counts."""
    length = max(min(text_length(tokens), max(map(len, texts), default=0)), 1)
    codes = np.array(texts, f"U{length}").view(np.uint32).reshape(len(texts), length)
    table = _number_table()
    return table[np.minimum(codes, len(table) - 1)]


def hash_tokens(characters: Any, xp: Any, *, tokens: int, bins: int) -> Any:
    """Return the indexes of the first T tokens of texts, (B, T) int32: 1 to bins, 0 for none.

    The hash of a token c_0 … c_n is the polynomial sum(c_i * base**i) modulo 2**32. All of them are
    differences of one cumulative sum over the text, times a power of the base's inverse.

    Args:
        characters: their numbers, (B, L) int32.
        xp: NumPy, or `keras.ops`.
        tokens: T.
        bins: number of different hashes.
    """
    length = characters.shape[1]
    is_any, is_cjk = characters > 1, characters >= _FIRST_CJK
    is_word = xp.logical_and(is_any, xp.logical_not(is_cjk))
    starts = _starts(is_word, is_cjk, xp)
    # The end of a text is the beginning of the same, read backwards.
    ends = xp.flip(_starts(xp.flip(is_word, 1), xp.flip(is_cjk, 1), xp), 1)
    # In order, and the same number of both, so the i-th of each belong together.
    places = np.arange(length, dtype=np.int32)
    start, end = (
        xp.sort(xp.where(found, places, np.int32(length)), 1)[:, :tokens]
        for found in (starts, ends)
    )
    is_there = start < length
    start, end = xp.minimum(start, np.int32(length - 1)), xp.minimum(end, np.int32(length - 1))
    powers, inverses = _powers(length)
    terms = characters * powers
    sums = xp.cumsum(terms, 1, dtype="int32")
    total = xp.take_along_axis(sums, end, 1) - xp.take_along_axis(sums - terms, start, 1)
    hashed = total * xp.take(inverses, start, 0) * _MIX
    # The last bits of a product are those of its factors' last bits: drop some.
    index = xp.mod(xp.floor_divide(hashed, np.int32(_DROPPED)), np.int32(bins)) + np.int32(1)
    return xp.where(is_there, index, np.int32(0))


def count_tokens(texts: list[str], *, most: int) -> npt.NDArray[np.intp]:
    """Return how many tokens texts have, (B,), at most so many."""
    characters = number_characters(texts, most)
    counts: npt.NDArray[np.intp] = hash_tokens(characters, np, tokens=most, bins=1).sum(axis=1)
    return counts


def _starts(is_word: Any, is_cjk: Any, xp: Any) -> Any:
    """Return where tokens begin: words, and pairs of neighbours, or a character that has none."""
    word_before, cjk_before = (_shift(found, xp, 1) for found in (is_word, is_cjk))
    cjk_behind = _shift(is_cjk, xp, -1)
    pair = xp.logical_and(is_cjk, xp.logical_or(cjk_behind, xp.logical_not(cjk_before)))
    return xp.logical_or(xp.logical_and(is_word, xp.logical_not(word_before)), pair)


def _shift(found: Any, xp: Any, by: int) -> Any:
    """Move the columns of (B, L) booleans one to the right or left."""
    if by > 0:
        return xp.concatenate([xp.zeros_like(found[:, :1]), found[:, :-1]], 1)
    return xp.concatenate([found[:, 1:], xp.zeros_like(found[:, :1])], 1)


def _powers(length: int) -> tuple[Int32, Int32]:
    """Return base**i and base**-i modulo 2**32, for i from 0; (L,) each."""
    inverse = pow(_BASE, -1, 1 << 32)
    return tuple(  # type: ignore[return-value]
        np.array([pow(base, i, 1 << 32) for i in range(length)], np.uint32).astype(np.int32)
        for base in (_BASE, inverse)
    )


@cache
def _number_table() -> Int32:
    """Return the number of the character of each code point below 2**16, and of all others."""
    table = np.ones((1 << 16) + 1, np.int32)
    table[0] = 0
    number = 2
    for first, last in (*_WORD_RANGES, *_CJK_RANGES):
        table[first : last + 1] = np.arange(number, number + last - first + 1)
        number += last - first + 1
    table[ord("A") : ord("Z") + 1] = table[ord("a") : ord("z") + 1]
    return table

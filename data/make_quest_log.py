r"""Make the log of an invented online game: one record for each quest that a player tried.

    python data/make_quest_log.py --records 200000 --seed 0 --out quest_log.csv
    python data/make_quest_log.py --records 1200 --messy --out data/quest_log_sample.csv

The second command made the sample beside this file. The log of N records is the beginning of any
longer log. So time cannot depend on the size: the game grows, and its records double in number
every 33 days; 200,000 records span 7 months, 4 million a year, 80 million 17 months.

column        value                                                missing    part in `clear`
------------  ---------------------------------------------------  ---------  -----------------
record_id     rising from 100000001, unique
player_id     7 digits; few players play much, most little                    hidden skill
started_at    from 2024-01-01 00:00:00; evenings, weekends                    late hour: worse
player_level  1 to 99, rises with the days                                    margin
player_class  six                                                  1 %        with difficulty
quest_id      Q-00000 to Q-10006, 5,000 of them, a long tail                  margin
difficulty    easy, normal, hard, nightmare                                   margin
party_size    1 to 6                                               0.5 %      with difficulty
device        five                                                 8 %        missing: worse
country       eight codes; one of them is NA, Namibia              2 %
region        of the country, also where that is missing
server_id     0000 to 0063, zero-padded
app_version   1.0.0 and later, some players update late            4 %
game_mode     campaign, in every record
first_try     true or false                                                   true: worse
power         two decimals, grows with player_level                0.5 %      margin
accuracy      0 to 1, four decimals                                3 %        with difficulty
stat_00       normal; all statistics have 3 or 4 decimals                     linear
stat_01       normal                                               2 %        far from 0: worse
stat_02       log-normal, a heavy tail                             10 %       its logarithm
stat_03, _04  normal                                                          their product
stat_05 … 11  noise; stat_06 and stat_10 have heavy tails          0 to 60 %  09 missing: worse
comment       two or three words                                   88 %
clear         0 or 1; six of ten are 1

`clear` is 1 with probability 1 / (1 + exp(-z)), where z is the sum of the parts. The margin is what
the player brings (level, power beyond the level's, skill) less what is asked (difficulty, and the
hidden hardness of the quest), cut off at both ends. Parts "with difficulty" change size or sign
with it, and a linear model cannot have them. A value that is missing in the log still counts.

With --messy, a fifth of the records have a comment in quotes, with commas, doubled quotes, LF and
CRLF inside, and Japanese text; all else stays. Records end in LF; the encoding is UTF-8.

Why it is fast: 16 random bits choose a value from a table of 65,536 quantiles that are already
text. The texts lie in rows of fixed width, and one `bytes.translate` takes the padding out. The
statistics get two more random digits, so that they have more than 65,536 values.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import click
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.bytes_]
Bits = npt.NDArray[np.uint16]
# Of a column of N records: tables of texts, each with N places in it. Their texts are joined.
Column = list[tuple[Texts, Ints]]

CHUNK_RECORDS = 8_192  # a chunk fits a processor's cache; another number makes another log
MAX_RECORDS = 899_999_999  # record_id has nine digits
MAX_PLAYERS = 1 << 19
N_QUESTS = 5_000
START = np.datetime64("2024-01-01")  # a Monday
MISSING = np.int64(-1)  # the place of the empty text at the end of each table


def texts(values: Iterable[object]) -> Texts:
    """Return a table of the values as UTF-8, with the missing value at its end."""
    return np.array([*(str(value).encode() for value in values), b""])


def quoted(before: str, after: str, values: Iterable[str]) -> Texts:
    """Return a table of one end of quoted fields: quotes inside are doubled."""
    return texts(before + value.replace('"', '""') + after for value in values)


def decimals(values: Floats, digits: int) -> Texts:
    """Return a table of numbers; each different one is formatted once."""
    scaled, places = np.unique(np.rint(values * 10**digits) + 0.0, return_inverse=True)
    return texts(f"{value / 10**digits:.{digits}f}" for value in scaled)[[*places, MISSING]]


def shares(*weights: float) -> Ints:
    """Return quantiles of the numbers 0, 1, 2 … with these weights; shape (65536,)."""
    return np.searchsorted(np.cumsum(weights) / sum(weights), UNIFORM)


UNIFORM = (np.arange(65_536) + 0.5) / 65_536
NORMAL = np.array([NormalDist().inv_cdf(u) for u in UNIFORM])
LOGISTIC = np.log(UNIFORM / (1 - UNIFORM))

NUMBERS = texts(range(10_000))
TWO_DIGITS = texts(f"{i:02d}" for i in range(100))
THREE_DIGITS = texts(f"{i:03d}" for i in range(1000))
DAYS = texts(f"{START + day} " for day in range(800))
CLOCK = texts(f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400))
BOOLEANS = texts(["false", "true"])
CLASSES = texts(["berserker", "elementalist", "marksman", "templar", "assassin", "minstrel"])
CLASS_SHARES = shares(26, 20, 18, 14, 14, 8)
QUESTS = texts(f"Q-{rank * 7919 % 10_007:05d}" for rank in range(N_QUESTS))
QUEST_SHARES = (N_QUESTS * UNIFORM**3).astype(np.int64)
DIFFICULTIES = texts(["easy", "normal", "hard", "nightmare"])
DIFFICULTY_SHARES = shares(32, 38, 20, 10)
PARTY_SHARES = shares(30, 18, 15, 17, 12, 8)
DEVICES = texts(["android", "iphone", "windows", "playstation", "switch"])
DEVICE_SHARES = shares(38, 24, 20, 12, 6)
COUNTRIES = texts(["JP", "US", "KR", "DE", "BR", "FR", "TH", "NA"])
REGIONS = texts(["asia", "america", "asia", "europe", "america", "europe", "asia", "africa"])
COUNTRY_SHARES = shares(34, 20, 13, 11, 10, 6, 4, 2)
SERVERS = texts(f"{i:04d}" for i in range(64))
VERSIONS = texts(f"1.{i // 5}.{i % 5}" for i in range(200))
MODES = texts(["campaign"])
POWERS = texts(f"{i}." for i in range(10_000))
ACCURACIES = texts(f"{i / 10_000:.4f}" for i in range(10_001))
# Statistics: the quantiles, to which two more digits are added, and the share of missing values.
STATS = [
    (decimals(NORMAL, 2), 0.0),
    (decimals(NORMAL, 2), 0.02),
    (decimals(np.exp(1.2 * NORMAL + 2), 2), 0.1),
    (decimals(NORMAL, 2), 0.0),
    (decimals(NORMAL, 2), 0.0),
    (decimals(100 * UNIFORM, 2), 0.0),
    (decimals((1 - UNIFORM) ** (-1 / 1.3), 2), 0.05),
    (decimals(50 + 12 * NORMAL, 1), 0.6),
    (decimals(-250 * np.log(UNIFORM), 2), 0.0),
    (decimals(LOGISTIC, 2), 0.25),
    (decimals(np.sign(NORMAL) * np.abs(NORMAL) ** 5, 2), 0.01),
    (decimals(1000 + 80 * NORMAL, 1), 0.0),
]
WORDS = texts(["lost the ", "won a ", "laggy ", "great ", "boring ", "crowded ", "one more "])
MORE_WORDS = texts(["fight", "boss", "map", "party", "reward", "evening", "match", "quest"])
NASTY_WORDS = ['they said "easy", it was not:', "gg, wp, thanks to", '"', "\nlag, lag\n\nat gate"]
NASTY_WORDS += ["ボスが強すぎる、もう無理\nroom", "line one\r\nline two, with", "報酬, take"]
NASTY_WORDS += ['楽しかった"最高"のクエスト, run', "1,234 damage by", "回復が足りない\r\n"]
NASTY_ENDS = [", never again", "\n", "\r\n-- sent, with love, from a phone", "、また明日", ",,,"]
NASTY_ENDS += [' of "the, old, ones"', ',\n"second, try"\nfailed', " 5\" nail, 3' rope"]
NASTY_ENDS += ["\r\n\r\n1,0\r\n2,1\n", "回目, やっと勝った"]
QUOTED_WORDS, QUOTED_ENDS = quoted('"', " ", NASTY_WORDS), quoted("", '"', NASTY_ENDS)

# Records of each hour and weekday, as against the others.
HOUR_WEIGHTS = [30, 18, 10, 6, 4, 4, 8, 16, 22, 22, 24, 28, 36, 32, 28, 30, 36, 46, 58, 72, 84, 88]
WEEK_WEIGHTS = np.outer([0.8, 0.8, 0.85, 0.9, 1.15, 1.5, 1.4], [*HOUR_WEIGHTS, 74, 50])
WEEK_SHARES = np.append(0, np.cumsum(WEEK_WEIGHTS)) / np.sum(WEEK_WEIGHTS)  # shape (7 * 24 + 1,)

# The parts in `clear`; D difficulty, K class, P party size, H hour.
HARDNESS_D = np.array([-0.9, -0.2, 0.7, 1.6])
ACCURACY_D = np.array([-2.0, 1.5, 5.0, 8.0])
CLASS_EASY_K = np.array([0.8, -0.8, 0.5, -0.9, 0.8, -0.5])
CLASS_DK = np.outer([1.0, 0.3, -0.8, -1.4], CLASS_EASY_K)
PARTY_DP = np.outer([0.6, 0.1, -0.5, -1.0], [1.2, 0.5, 0.0, -0.4, -0.7, -0.8])
HOUR_H = np.array([-0.5, -0.7, -0.9, -1.0, -1.0, -0.7, *[0.1] * 12, *[0.25] * 4, 0.0, -0.3])


def draw(seed: int, stream: int, n: int) -> Iterator[Bits]:
    """Yield, again and again, `n` times (a multiple of 4) 16 random bits."""
    generator = np.random.Generator(np.random.PCG64([seed, stream]))
    while True:
        words = generator.integers(2**64 - 1, size=n // 4, dtype=np.uint64, endpoint=True)
        yield words.astype("<u8", copy=False).view("<u2")


def tell_time(number: Floats) -> tuple[Ints, Ints]:
    """Return the days since `START` and the seconds of the day at which records start."""
    weeks = 365 / 7 * np.log1p(number / 2000) / np.log1p(4_000_000 / 2000)
    week, share = np.divmod(weeks, 1.0)
    hour_of_week = np.interp(share, WEEK_SHARES, np.arange(len(WEEK_SHARES)))
    seconds = (week * 604_800 + hour_of_week * 3600).astype(np.int64)
    return seconds // 86_400, seconds % 86_400


class QuestLog:
    """The log of one seed, in chunks of `CHUNK_RECORDS`."""

    def __init__(self, seed: int, *, messy: bool) -> None:
        """Draw what is hidden: the traits of the players, the hardness of the quests."""
        self._seed = seed
        self._messy = messy
        self._traits = next(draw(seed, 0, 8 * MAX_PLAYERS)).reshape(MAX_PLAYERS, 8)
        self._hardness = 0.9 * NORMAL[next(draw(seed, 1, N_QUESTS))]

    def make_chunk(self, chunk: int) -> dict[str, Column]:
        """Return the columns of one chunk, in order."""
        draws = draw(self._seed, 2 + chunk, CHUNK_RECORDS)

        def gaps(places: Ints, share: float) -> Ints:
            return np.where(next(draws) < share * 65_536, MISSING, places)

        def along(places: Ints, others: Ints) -> Ints:
            return np.where(places == MISSING, MISSING, others)

        number = chunk * CHUNK_RECORDS + np.arange(CHUNK_RECORDS)
        record_id = 100_000_001 + number
        day, second = tell_time(number + UNIFORM[next(draws)])

        n_players = min(MAX_PLAYERS, int(30 * (number[0] + 1000) ** 0.6))  # so far
        rank = UNIFORM[next(draws)] + next(draws) / 2**32
        # The two draws together may come to a little more than 1.
        player = np.minimum(n_players * rank**2, MAX_PLAYERS - 1).astype(np.int64)
        player_id = 1_000_000 + player * 7919 % 9_000_000  # no factor in common: unique
        traits = self._traits[player].T
        class_, country = CLASS_SHARES[traits[0]], COUNTRY_SHARES[traits[1]]
        device = gaps(DEVICE_SHARES[traits[2]], 0.08)
        skill = NORMAL[traits[3]]
        first_level, levels_a_day = 1 + 55 * UNIFORM[traits[4]], 0.2 * UNIFORM[traits[5]] ** 2
        level = np.minimum(first_level + levels_a_day * day, 99).astype(np.int64)

        quest = QUEST_SHARES[next(draws)]
        difficulty = DIFFICULTY_SHARES[next(draws)]
        party = PARTY_SHARES[next(draws)]
        server = 8 * country + next(draws) % 8
        version = np.maximum(day // 4 - next(draws) // 5000, 0)
        first_try = (next(draws) < 30_000).astype(np.int64)
        gear = NORMAL[next(draws)]
        power = np.clip(400 + 60 * level + (150 + 8 * level) * gear, 0, 9999).astype(np.int64)
        known_power = gaps(power, 0.005)
        accuracy = np.clip(0.6 + 0.06 * skill + 0.15 * NORMAL[next(draws)], 0, 1)
        stats = [next(draws) for _ in STATS]
        known_stats = [gaps(stat, gap) for stat, (_, gap) in zip(stats, STATS, strict=True)]
        x = NORMAL[np.stack(stats[:5])]

        margin = (level - 30) / 25 + 0.5 * gear + 0.4 * skill
        margin -= HARDNESS_D[difficulty] + self._hardness[quest]
        z = 0.35 + 1.5 * np.clip(margin, -1.8, 1.8)
        z += CLASS_DK[difficulty, class_] + PARTY_DP[difficulty, party]
        z += ACCURACY_D[difficulty] * (accuracy - 0.6) + HOUR_H[second // 3600] - 0.3 * first_try
        z += 0.4 * x[0] + 1.2 * (0.8 - np.abs(x[1])) + 0.3 * x[2] + 1.0 * x[3] * x[4]
        z -= 1.0 * (device == MISSING) + 0.5 * (known_stats[9] == MISSING)
        clear = (z > LOGISTIC[next(draws)]).astype(np.int64)

        columns: dict[str, Column] = {
            "record_id": [(THREE_DIGITS, record_id // 10**k % 1000) for k in (6, 3, 0)],
            "player_id": [(NUMBERS, player_id // 1000), (THREE_DIGITS, player_id % 1000)],
            "started_at": [(DAYS, day), (CLOCK, second)],
            "player_level": [(NUMBERS, level)],
            "player_class": [(CLASSES, gaps(class_, 0.01))],
            "quest_id": [(QUESTS, quest)],
            "difficulty": [(DIFFICULTIES, difficulty)],
            "party_size": [(NUMBERS, gaps(party + 1, 0.005))],
            "device": [(DEVICES, device)],
            "country": [(COUNTRIES, gaps(country, 0.02))],
            "region": [(REGIONS, country)],
            "server_id": [(SERVERS, server)],
            "app_version": [(VERSIONS, gaps(version, 0.04))],
            "game_mode": [(MODES, np.zeros_like(number))],
            "first_try": [(BOOLEANS, first_try)],
            "power": [(POWERS, known_power), (TWO_DIGITS, along(known_power, next(draws) % 100))],
            "accuracy": [(ACCURACIES, gaps(np.rint(10_000 * accuracy).astype(np.int64), 0.03))],
        }
        for i, (places, (table, _)) in enumerate(zip(known_stats, STATS, strict=True)):
            digits = along(places, next(draws) % 100)
            columns[f"stat_{i:02d}"] = [(table, places), (TWO_DIGITS, digits)]

        choice = next(draws)
        word, nasty = gaps(choice % 7, 0.88), gaps(choice % 10, 0.8)
        if self._messy:
            word = np.where(nasty == MISSING, word, MISSING)
        comment = [(WORDS, word), (MORE_WORDS, along(word, choice // 7 % 8))]
        if self._messy:
            comment += [(QUOTED_WORDS, nasty), (NUMBERS, along(nasty, choice % 997))]
            comment += [(QUOTED_ENDS, along(nasty, choice // 10 % 10))]
        return columns | {"comment": comment, "clear": [(NUMBERS, clear)]}

    def render(self, n_records: int) -> Iterator[bytes]:
        """Yield the text of the log: the header, then chunk after chunk."""
        for first in range(0, n_records, CHUNK_RECORDS):
            columns = self.make_chunk(first // CHUNK_RECORDS)
            if first == 0:
                yield ",".join(columns).encode() + b"\n"
            yield join_cells(columns, min(n_records - first, CHUNK_RECORDS))


def join_cells(columns: dict[str, Column], n_records: int) -> bytes:
    """Return the first `n_records` of a chunk as text: cells of fixed width, then no padding."""
    cells: list[Texts] = []
    for column in columns.values():
        cells += [table[places[:n_records]] for table, places in column]
        cells.append(np.array(b","))
    cells[-1] = np.array(b"\n")
    rows = np.empty(n_records, [(f"cell_{i}", cell.dtype) for i, cell in enumerate(cells)])
    for name, cell in zip(rows.dtype.names or (), cells, strict=True):
        rows[name] = cell
    return rows.tobytes().translate(None, b"\0")


@click.command()
@click.option("--records", type=click.IntRange(1, MAX_RECORDS), default=200_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--messy", is_flag=True, help="Quotes, commas and newlines in comments; Japanese.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    show_default=True,
    help="The file to write; - is stdout.",
)
def main(records: int, seed: int, messy: bool, out: Path) -> None:
    """Make a quest log, a CSV of about 215 bytes a record, the same for the same options."""
    log = QuestLog(seed, messy=messy).render(records)
    if out == Path("-"):
        sys.stdout.buffer.writelines(log)
        return
    if out.exists() and not out.is_file():
        raise click.UsageError(f"{out}: expected a file, found a device or a pipe; use --out -")
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.writelines(log)
        unfinished.replace(out)
    except OSError as error:
        raise click.ClickException(f"{out}: cannot be written: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    main()

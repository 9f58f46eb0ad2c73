"""Writes tests/statistics.json: what scipy and statsmodels say about tables that tests/statistics.rs holds the program to.

Run again when a case is added: python tests/make_statistics_golden.py (needs numpy, scipy and statsmodels).
"""

import json
import math
import pathlib
from fractions import Fraction

import numpy
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

random = numpy.random.default_rng(0)

# Right by both, by the first only, by the second only, by neither.
TABLES = [(20, 12, 2, 16), (0, 0, 7, 3), (5, 1, 0, 44), (50, 30, 30, 90), (3, 40, 21, 0), (400, 60, 95, 445), (10, 0, 0, 4)]


def paired(table):
    both, first, second, neither = table
    test = mcnemar([[both, first], [second, neither]], exact=True)
    differences = numpy.array([0] * both + [1] * first + [-1] * second + [0] * neither)
    found = {"table": table, "p": float(test.pvalue)}
    if first + second > 0:
        interval = stats.bootstrap(
            (differences,), numpy.mean, n_resamples=200_000, batch=2_000, method="percentile", rng=random
        ).confidence_interval
        found["bootstrap"] = [float(interval.low), float(interval.high)]
    return found


def pass_at_k(n, correct, k):
    return float(1 - Fraction(math.comb(n - correct, k), math.comb(n, k)))


FAMILIES = [[0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.9, 0.04], [1e-9, 0.02, 0.02, 0.7, 0.013, 0.0499]]
golden = {
    "paired": [paired(table) for table in TABLES],
    "holm": [{"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in FAMILIES],
    "pass_at_k": [
        [n, correct, k, pass_at_k(n, correct, k)]
        for n, correct in [(1, 1), (4, 1), (8, 3), (16, 15), (200, 2), (1000, 37)]
        for k in [1, 2, 4, 64]
        if k <= n
    ],
    "wilson": [
        [right, n, *map(float, proportion_confint(right, n, method="wilson"))]
        for right, n in [(0, 7), (1, 64), (33, 64), (50, 50), (2999, 3000)]
    ],
}
path = pathlib.Path(__file__).with_name("statistics.json")
path.write_text(json.dumps(golden, indent=1) + "\n")

#!/usr/bin/python3
"""Writes oracle.json: what SciPy says of functions that package stats has too.

Needs python3-scipy (Debian). Run in this folder: ./oracle.py > oracle.json
"""
import json

import numpy as np
from scipy import stats
from scipy.integrate import quad

out = {"share": [], "rate": [], "ttest": [], "rank_sum": []}
for k, n in [(0, 10), (3, 10), (10, 10), (7, 2000), (1137, 1200)]:
    b = stats.binomtest(k, n)
    two = b.proportion_ci(confidence_level=0.98, method="exact")
    out["share"].append({"hits": k, "trials": n, "miss": 0.01, "low": two.low, "high": two.high})
for k, t in [(0, 100.0), (1, 10.0), (25, 1000.0)]:
    low = 0.0 if k == 0 else stats.chi2.ppf(0.01, 2 * k) / 2 / t
    out["rate"].append({"events": k, "exposure": t, "miss": 0.01, "low": low, "high": stats.chi2.ppf(0.99, 2 * k + 2) / 2 / t})
# The evidence of a positive mean with effect d ~ N(0, g), d > 0, in units of the
# noise s, whose prior is 1/s: both integrals, over d and over u = 1/s, by hand
# for d and by quadrature for u.
rng = np.random.default_rng(7)
for n, shift in [(5, 0.0), (12, 1.0), (40, 0.5), (8, 3.0)]:
    x = rng.normal(shift, 1.0, n)
    s1, s2 = x.sum(), (x * x).sum()
    scale = np.sqrt(n / s2)
    effects = [0.3, 2.0, 30.0, 1000.0]
    below = quad(lambda u: u ** (n - 1) * np.exp(-u * u * n / 2), 0, 20)[0]
    e = 0.0
    for g in effects:
        a = n + 1 / g
        f = lambda u: u ** (n - 1) * np.exp(-u * u * scale**2 * (s2 - s1 * s1 / a) / 2) * 2 / np.sqrt(g * a) * stats.norm.cdf(u * scale * s1 / np.sqrt(a))
        e += quad(f, 0, 50, limit=500)[0] / below / len(effects)
    out["ttest"].append({"x": list(x), "log_e": float(np.log(e))})
for nx, ny, shift in [(8, 9, 0.0), (30, 25, 1.0), (12, 12, -2.0)]:
    x, y = np.round(rng.normal(shift, 2, nx)), np.round(rng.normal(0, 2, ny))
    p = stats.mannwhitneyu(x, y, alternative="two-sided", use_continuity=True, method="asymptotic").pvalue
    u = stats.mannwhitneyu(x, y).statistic
    out["rank_sum"].append({"x": list(x), "y": list(y), "z": float(np.sign(u - nx * ny / 2) * stats.norm.isf(p / 2))})
print(json.dumps(out, indent=1))

"""Confidence intervals and significance tests."""

from scipy.stats import binomtest


def wilson(right: int, total: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of the share `right` / `total`; `total` is at least 1 (Wilson 1927,
    https://doi.org/10.1080/01621459.1927.10502953)."""
    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(lost: int, won: int) -> float:
    """Return the p-value of the difference between two models on the same photos (McNemar 1947, exact).

    Args:
        lost: photos that only the first model gets right; `won`: only the second.
    """
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0

"""How far may chance alone have moved a figure?"""

from scipy.stats import binomtest


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, `right` of `total`, which is at least 1 (Wilson 1927,
    https://doi.org/10.1080/01621459.1927.10502953)."""
    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(lost: int, won: int) -> float:
    """How likely chance alone makes so large a difference between two models that judge the same photos, of which one
    is right on `lost` and the other on `won` alone (McNemar 1947, exact)."""
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0

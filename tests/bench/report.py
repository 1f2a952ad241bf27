"""The figures of one run: rows of what was measured, and ratios with medians and spread."""

from collections.abc import Sequence

import numpy as np

TARGETS = {
    "serve16_vs_original": ("≥", 6),
    "serve16_vs_engine": ("≥", 0.85),
    "latency1_vs_original": ("≥", 5),
    "p95_over_p50_16": ("≤", 1.6),
    "explain_first_vs_predict": ("≤", 2),
    "page500_vs_bare_service": ("≤", 1.15),
    "page_1000_classes_vs_2": ("≤", 1.3),
    "page_longest_task_vs_200_ms": ("≤", 1),
    "page_memory_last_vs_first": ("≤", 1.1),
    "train_first_vs_original": ("≥", 8),
    "train_rerun_vs_original": ("≥", 200),
    "accuracy_int8_minus_fp32": ("within ±", 0.5),
    "memory_vs_original": ("≤", 0.35),
    "serve16_pruned_vs_original": ("≥", 18),
    "latency1_pruned_vs_original": ("≥", 12),
}


class Report:
    """Collects rows and figures, and shows them."""

    def __init__(self, photos: str, options):
        self._photos, self._options = photos, options
        self.rows: list[dict] = []
        self.figures: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []

    def row(self, what: str, **values: Sequence[float] | float) -> None:
        """One line of the table; a sequence becomes its median, with lowest and highest beside it in the JSON."""
        found = {name: spread(value) for name, value in values.items()}
        self.rows.append({"what": what, **found})
        print("  " + self._line(what, found), flush=True)

    def figure(self, name: str, values: Sequence[float]) -> None:
        """A ratio: one value a round."""
        self.figures[name] = spread(values)

    def ratio(self, name: str, ours: Sequence[float], other: Sequence[float]) -> None:
        """Round by round."""
        self.figure(name, [a / b for a, b in zip(ours, other, strict=True)])

    def exact_figure(self, name: str, value: float, low: float, high: float) -> None:
        self.figures[name] = {"value": value, "low": low, "high": high}

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def as_json(self) -> dict:
        return {
            "photos": self._photos,
            "options": {name: str(value) for name, value in vars(self._options).items()},
            "figures": self.figures,
            "rows": self.rows,
            "notes": self.notes,
        }

    def table(self) -> str:
        lines = [f"\n{'figure':28}{'median':>9}{'low':>9}{'high':>9}   wanted"]
        for name, found in self.figures.items():
            sign, target = TARGETS.get(name, ("", ""))
            numbers = "".join(f"{found[key]:9.3g}" for key in ("value", "low", "high"))
            lines.append(f"{name:28}{numbers}   {sign} {target}" + ("" if self._met(name) else "   MISSED"))
        return "\n".join(lines)

    def _met(self, name: str) -> bool:
        sign, target = TARGETS.get(name, ("", 0))
        value = self.figures[name]["value"]
        return {"≥": value >= target, "≤": value <= target, "within ±": abs(value) <= target}.get(sign, True)

    def _line(self, what: str, found: dict) -> str:
        return f"{what:44}" + "".join(f"  {name} {value['value']:.4g}" for name, value in found.items())


def spread(values: Sequence[float] | float) -> dict[str, float]:
    numbers = np.atleast_1d(np.asarray(values, dtype=float))
    return {"value": float(np.median(numbers)), "low": float(numbers.min()), "high": float(numbers.max())}

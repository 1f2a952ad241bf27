"""The parity check of a pruned model: what do its users lose, beyond what another last layer would change?"""

import numpy as np

from ..engines.parity import ONE_SIDED, PrunedParityCheck
from .calibration import calibration_error

_TWO_SIDED = 1.96  # standard errors


def compare_pruned(
    probabilities: np.ndarray, reference: np.ndarray, again: np.ndarray, targets: np.ndarray, max_drop: float
) -> PrunedParityCheck:
    """Compare a pruned model with the whole one on photos that neither was trained on.

    Args:
        probabilities: of the pruned model, calibrated, float (n, classes).
        reference: the same of the whole model.
        again: logits or probabilities of a second last layer of the whole network, float (n, classes).
        targets: true class numbers, int (n,).
        max_drop: points of accuracy that may be lost.
    """
    if not len(targets):
        return PrunedParityCheck(0.0, -100.0, 100.0, 100.0, 1.0, 1.0, 0.0, 1.0, max_drop, 0)
    said, whole, second = (found.argmax(axis=1) for found in (probabilities, reference, again))
    right, was_right = said == targets, whole == targets
    low, high = _loss(right, was_right, -_TWO_SIDED), _loss(right, was_right, _TWO_SIDED)
    return PrunedParityCheck(
        accuracy_drop=100 * int(was_right.sum() - right.sum()) / len(targets),
        low=low,
        high=high,
        upper_bound=_loss(right, was_right, ONE_SIDED),
        calibration_error=float(calibration_error(probabilities, targets)),
        reference_calibration_error=float(calibration_error(reference, targets)),
        agreement=float((said == whole).mean()),
        reference_agreement=float((second == whole).mean()),
        max_drop=max_drop,
        photos=len(targets),
    )


def _loss(right: np.ndarray, was_right: np.ndarray, errors: float) -> float:
    """Return the loss in points, so many standard `errors` above its estimate, for bool (n,) of each.

    The interval is for matched pairs, with half a photo added to each of the four cells of the table (Agresti & Min
    2005, https://doi.org/10.1002/sim.1781): it holds even if the two disagree on hardly any photo.
    """
    regressed, fixed, photos = (was_right & ~right).sum(), (right & ~was_right).sum(), len(right) + 2
    middle = (regressed - fixed) / photos
    return 100 * float(middle + errors * np.sqrt((regressed + fixed + 1) / photos - middle**2) / np.sqrt(photos))

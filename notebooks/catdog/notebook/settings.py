"""Settings of notebook 1 that would fail late are checked where they are set."""

from ..data.preprocessing import require_preprocessing
from ..errors import UserError
from ..names import require_model_name

SAVE_WHEN = ("not worse", "always", "if not worse")  # the last as it was called before


def check_settings(model_name: str, pixels: int, fit: str, save_when: str = SAVE_WHEN[0]) -> None:
    """Raises UserError for a name, PIXELS, FIT or SAVE_WHEN that cannot be; an empty name is that of the photos."""
    require_model_name(model_name, or_none=True)
    require_preprocessing(pixels, fit)
    if save_when not in SAVE_WHEN:
        raise UserError("setting-save-when", f'SAVE_WHEN must be "not worse" or "always", not "{save_when}".')

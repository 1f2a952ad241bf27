"""Settings of notebook 1 that would fail late are checked where they are set."""

from ..data.preprocessing import require_preprocessing
from ..names import require_model_name


def check_settings(model_name: str, pixels: int, fit: str) -> None:
    """Raises SuiteError for a name, PIXELS or FIT that cannot be; an empty name is that of the photos."""
    require_model_name(model_name, or_none=True)
    require_preprocessing(pixels, fit)

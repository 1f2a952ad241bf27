"""Pages of which addresses may ask the service."""

from ..errors import SuiteError
from ..web import link


def parse_origins(text: str) -> list[str] | str:
    """ "*", or a list such as "https://one.example https://two.example:8000". Raises SuiteError for anything else."""
    if text.strip() == "*":
        return "*"
    origins = text.replace(",", " ").split()
    wrong = [origin for origin in origins if link.origin(origin) != origin]
    if wrong or not origins:
        raise SuiteError(
            "setting-origins",
            "CORS_ORIGINS must be * or addresses such as https://page.example, without a path, "
            f'not "{" ".join(wrong)}".',
        )
    return origins

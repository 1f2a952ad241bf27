"""In a Colab kernel google.colab is imported before the notebook's first cell."""

import google.colab  # noqa: F401

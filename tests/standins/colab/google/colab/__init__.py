"""A stand-in for Colab's own package: what the suite uses of it, behaving as the environment says."""

"""The Flask service: routes, limits, problems."""

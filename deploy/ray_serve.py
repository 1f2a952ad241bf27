"""The backend on Ray Serve, on this machine or on a cluster.

    make ray-serve                                   on this machine, until Ctrl-C
    RAY_ADDRESS=auto make ray-serve                  called on a machine of a cluster
    serve run ray_serve:build MODEL=cats-and-dogs    by Ray's own command, with notebooks/ and deploy/ in PYTHONPATH

Settings, from the environment or as arguments: MODEL, ENGINE, ACCESS_CODE, CORS_ORIGINS, LIMITS as in notebook 2;
MAX_REPLICAS of the network (0: one per GPU, or per processor); MIN_REPLICAS, the number while idle; PORT for
`make ray-serve` only.
"""

import threading

from catdog.backend.limits import parse_limits
from catdog.engines.selection import AUTO
from catdog.errors import UserError, for_the_command_line
from catdog.models import bundle
from catdog.settings import as_typed, by_names_of_today, environment_first

DEFAULTS = {
    "MODEL": "", "ENGINE": AUTO, "ACCESS_CODE": "", "CORS_ORIGINS": "*", "LIMITS": "", "MAX_REPLICAS": 0,
    "MIN_REPLICAS": 1,
}  # fmt: skip


def build(settings: dict | None = None):
    """Build the application for `serve.run`. Raises UserError for invalid settings."""
    settings = by_names_of_today(settings or {}, DEFAULTS)
    unknown = set(settings) - set(DEFAULTS)
    if unknown:
        raise UserError("setting-unknown", f"There is no setting {unknown.pop()}: choose from {', '.join(DEFAULTS)}.")
    typed = {name: as_typed(name, settings.get(name), value) for name, value in DEFAULTS.items()}
    model, engine, code, origins, limits, replicas, fewest = environment_first(**typed)
    from catdog.distributed.cluster import connect
    from catdog.distributed.serve import application

    connect()
    return application(
        bundle.read(bundle.find(model)),
        engine,
        parse_limits(limits),
        replicas=replicas,
        fewest=fewest,
        ACCESS_CODE=code,
        CORS_ORIGINS=origins,
    )


def main() -> None:
    with for_the_command_line("Stopped."):
        (port,) = environment_first(PORT=5000)
        app = build()
        from catdog.distributed.serve import served

        with served(app, port) as url:
            print(f"The service is at {url}. Press Ctrl-C to stop it.", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main()

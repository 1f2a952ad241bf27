"""`make label`: PHOTOS, OUT, and, if they are set, MODEL and ENGINE from the environment."""

import sys

from ..engines.choice import AUTO
from ..errors import SuiteError
from ..places import environment_first


def main() -> None:
    photos, out, model, engine = environment_first(PHOTOS="", OUT="", MODEL="", ENGINE=AUTO)
    try:
        if not photos or not out:
            raise SuiteError("Say where the photos are and where the result goes: make label PHOTOS=… OUT=….parquet")
        from .labelling import label

        print(label(photos, out, model, engine))
    except SuiteError as error:
        sys.exit(f"⚠ {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped. What is done is kept: the same command goes on from here.")


if __name__ == "__main__":
    main()

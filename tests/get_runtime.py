"""The browser's runtime, for the tests of exported websites. Where it cannot be fetched, they are skipped."""

from catdog.errors import UserError
from catdog.site.runtime import runtime_files


def main() -> None:
    try:
        runtime_files()
    except UserError as error:
        print(f"SKIPPED: tests of exported websites in a browser. {error}", flush=True)


if __name__ == "__main__":
    main()

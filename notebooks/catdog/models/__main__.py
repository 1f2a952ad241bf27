"""`make models`: list the saved versions."""

from ..errors import for_the_command_line
from .listing import versions_table

if __name__ == "__main__":
    with for_the_command_line("Stopped."):
        print(versions_table())

"""The command `autointerp`, and `python -m autointerp`: ready for signals before anything else is loaded."""

import os

from autointerp.words import INTERRUPTED, INTERRUPTED_STATUS


def main() -> None:
    """Entry point of the process."""
    try:
        from autointerp.interruption import listen

        listen()
        from autointerp.cli import main as command

        command()
    except KeyboardInterrupt:
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(INTERRUPTED_STATUS)


if __name__ == "__main__":
    main()

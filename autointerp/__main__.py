"""The command `autointerp`, and `python -m autointerp`: ready for signals before anything else is loaded."""

from autointerp.starting import end_at_once


def main() -> None:
    """Entry point of the process."""
    try:
        from autointerp.interruption import listen

        listen()
        from autointerp.cli import main as command

        command()
    except KeyboardInterrupt:
        end_at_once()


if __name__ == "__main__":
    main()

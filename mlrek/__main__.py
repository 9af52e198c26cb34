"""`mlrek` and `python -m mlrek`; Ctrl-C is heeded before the first import that takes time."""

OBJECTS_BEFORE_COLLECTION = 250_000
"""Imports make many objects that stay: a command that only reads ends before garbage is looked for.

What logs runs looks for it more often, as figures hold memory (`collect_figures`).
"""


def main() -> None:
    """Run the command line."""
    try:
        import gc

        from mlrek.errors import end_at_once

        end_at_once()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION, 10, 10)
    from mlrek.cli import main as run

    run()


if __name__ == "__main__":
    main()

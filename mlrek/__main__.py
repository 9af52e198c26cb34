"""`mlrek` and `python -m mlrek`; Ctrl-C is heeded before the first import that takes time."""


def main() -> None:
    """Run the command line."""
    try:
        from mlrek.errors import end_at_once

        end_at_once()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    from mlrek.cli import main as run

    run()


if __name__ == "__main__":
    main()

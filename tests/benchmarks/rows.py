"""A measured line of the table in the README: every benchmark prints its own."""


def print_row(what: str, wanted: str, measured: str, *, met: bool | None = None) -> None:
    """One row; `met` says whether the target was, None where there is none."""
    said = {True: "yes", False: "**missed**", None: ""}[met]
    print(f"| {what} | {wanted} | {measured} | {said} |", flush=True)

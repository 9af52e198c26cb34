"""What the tests claim, and that each claim still runs.

The docstring of a test is its claim. `claims.txt` lists all that were ever made, a line each;
`claims-gone.txt` those that are made no longer, each with the reason behind a tab. A whole run with
MLREK_REQUIRE_ALL=1 fails where a claim of the first list neither ran nor stands in the second.

    python tests/claims.py    # adds what is new to claims.txt
"""

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).parent
MADE = TESTS / "claims.txt"
GONE = TESTS / "claims-gone.txt"


def list_claims(folder: Path = TESTS) -> Counter[str]:
    """How often each claim is made by a test function below a folder."""
    trees = (ast.parse(path.read_text()) for path in sorted(folder.rglob("test_*.py")))
    return Counter(
        write_claim(ast.get_docstring(node))
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def write_claim(docstring: str | None) -> str:
    """A docstring in one line."""
    return " ".join((docstring or "").split())


def read_made() -> Counter[str]:
    """Every claim that was ever made."""
    return Counter(MADE.read_text().splitlines())


def read_gone() -> dict[str, str]:
    """The claims that are made no longer, and why."""
    lines = GONE.read_text().splitlines()
    return {claim: reason for claim, _, reason in (line.partition("\t") for line in lines)}


def find_missing(claims: Iterable[str]) -> list[str]:
    """What was claimed once, is none of these, and is not accounted for."""
    missing = read_made() - Counter(claims)
    return sorted(set(missing) - set(read_gone()))


if __name__ == "__main__":
    made = read_made() | list_claims()
    MADE.write_text("".join(f"{claim}\n" for claim in sorted(made.elements())))

"""How pages of the documentation say what is run, what is not, and what comes out."""

from pathlib import Path

from docs_outputs import Ran, fill_in, normalise, read_blocks
from docs_reference import generate

PAGE = """
<!-- not run: it needs an account of yours -->
```sh
mlrek projects
```

<!-- exit 3 -->
```sh
mlrek check
```

```text title="Output, first 2 lines"
old
```

```toml title="policy.toml"
[[floor]]
```
"""


def test_a_page_says_what_is_run_and_how_it_ends():
    """Comments before a block, and the title of what follows it."""
    left_out, run, output, file = read_blocks(PAGE)

    assert (left_out.is_run, left_out.notes) == (
        False,
        {"not run": "it needs an account of yours"},
    )
    assert (run.is_run, run.codes) == (True, (3,))
    assert (output.is_output, output.first_lines) == (True, 2)
    assert (file.file, file.is_run) == ("policy.toml", False)


def test_what_is_printed_replaces_what_the_page_shows():
    """As many lines as the page wants; all else stays."""
    block = read_blocks(PAGE)[1]
    ran = Ran(page="p.md", block=block, printed="one\ntwo\nthree\n", codes=(3,))

    assert fill_in(PAGE, [ran]) == PAGE.replace("old\n", "one\ntwo\n")


def test_ids_and_the_folder_are_the_same_each_time():
    """One name for each run id, in the order in which they appear, and blanks at ends go."""
    first, second = "a" * 32, "b" * 32
    other = normalise(f"runs:/{second}  \n{first} in /tmp/x/mlrek", Path("/tmp/x/mlrek"))  # noqa: S108

    assert normalise(f"runs:/{first}\n{second} in /home/you/mlrek", Path("/nowhere")) == other
    assert first not in other
    assert other.endswith(" in /home/you/mlrek\n")


def test_ids_within_addresses_are_the_same_each_time():
    """A quote that is written as %22 ends in a digit, and is no part of the id."""
    said = [normalise(f"runs=%5B%22{one * 32}%22%5D", Path("/nowhere")) for one in "ab"]

    assert said[0] == said[1]
    assert len(said[0]) == len(f"runs=%5B%22{'a' * 32}%22%5D\n")


def test_a_generated_part_is_replaced_between_its_marks():
    """What was written there by hand goes; what is around it stays."""
    page = "before\n<!-- generated: policy baseline -->\nold\n<!-- end -->\nafter\n"
    made = generate(page)

    assert "old" not in made
    assert "- `version` (text): What candidates are compared with" in made
    assert made.startswith("before\n")
    assert made.endswith("<!-- end -->\nafter\n")
    assert generate(made) == made

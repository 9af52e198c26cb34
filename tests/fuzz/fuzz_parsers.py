"""Coverage-guided fuzzing of every parser: `python tests/fuzz/fuzz_parsers.py -max_total_time=600`.

The first byte chooses the parser, the rest is its file. Seeds are laid into the folder that is
named first, or into one that is thrown away.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["mlrek.formats", "mlrek.policy"]):
    from fakes.parsers import PARSERS, read_seeds

    from mlrek.errors import MlrekError

ALL = tuple(PARSERS.values())


def parse_one(data: bytes) -> None:
    """One input; anything but an answer or our own error is a finding."""
    if data:
        try:
            ALL[data[0] % len(ALL)](data[1:])
        except MlrekError:
            return


def main() -> None:
    """Fuzz until the time is over."""
    corpus = next((arg for arg in sys.argv[1:] if not arg.startswith("-")), tempfile.mkdtemp())
    for n, seed in enumerate(read_seeds()):
        for which in range(len(ALL)):
            Path(corpus, f"seed-{n}-{which}").write_bytes(bytes([which]) + seed)
    arguments = [*sys.argv, *([] if corpus in sys.argv else [corpus])]
    atheris.Setup([*arguments, "-timeout=20", "-rss_limit_mb=3000", "-max_len=20000"], parse_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

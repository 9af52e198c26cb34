"""Simulate test sets and print how often each interval holds the population's number.

    python tests/proof/run_all.py --sets 10000

What is simulated is kept in `--folder`, block by block: a run that was stopped goes on where it
was, and more sets add to those that are there.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proof.coverage import (
    BLOCK,
    COUNTS,
    WILSON,
    Tally,
    dump,
    load_targets,
    parse,
    run_block,
    write_targets,
)
from proof.populations import SETTINGS

OF_UNITS = ("masks", "detection")  # whose labels count pixels and boxes, not images


def main():
    """Run what is asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--setting", action="append", choices=list(SETTINGS))
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--folder", type=Path, default=Path(".proof"))
    parser.add_argument("--targets", action="store_true", help="compute the true numbers anew")
    options = parser.parse_args()
    if options.targets:
        write_targets()
    options.folder.mkdir(exist_ok=True)
    for name in options.setting or SETTINGS:
        targets = load_targets(name)
        for size in SETTINGS[name].sizes:
            if options.size and size not in options.size:
                continue
            total = {}
            for block in range(-(-options.sets // BLOCK)):
                path = options.folder / f"{name.replace(' ', '_')}-{size}-{block}.json"
                if not path.exists():
                    path.write_text(dump(run_block(name, size, block, targets)))
                for key, tally in parse(path.read_text()).items():
                    total[key] = total.get(key, Tally()).add(tally)
            print_setting(name, size, total)


def print_setting(name, size, tallies):
    """One line a number."""
    print(f"\n## {name}, {size} images\n")
    print("| number | sets | without | coverage | above | below | width | miss |")
    print("|---|---|---|---|---|---|---|---|")
    for key, t in tallies.items():
        if key in COUNTS or not t.given:
            continue
        if not t.n:
            print(f"| {key} | {t.given} | 100 % | | | | | |")
            continue
        print(
            f"| {key} | {t.given} | {(t.none + t.doubted) / t.given:.1%} | {t.coverage:.1%} | "
            f"{t.above / t.n:.1%} | {t.below / t.n:.1%} | {t.width / t.n:.3f} | "
            f"{'Wilson' if key in WILSON and name not in OF_UNITS else t.find_miss()} |"
        )


if __name__ == "__main__":
    main()

"""How fast is a manifest read, and how much memory does that take?

Reads one manifest with a bare loop of `json.loads`, which keeps nothing, with `parse_manifest`,
which builds all columns, and with `parse_evaluation`, which also checks and sorts them; in turn,
each in a process of its own. Then two of them, by the bare loop one after the other, and by two
processes that read one each. Ends with 1 where `parse_manifest` is not 2 times as fast as the bare
loop, and two processes 3.5 times.

    python tests/benchmarks/bench_parse.py --images 250000 --labels 20 --records top1
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from make_manifests import add_size_options, make_project, read_size
from rows import print_row

WANTED_ONE, WANTED_TWO = 2.0, 3.5
ROUNDS = 5
CHUNK = 1 << 20


def main() -> int:
    """Make a manifest and compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_size_options(parser)
    parser.set_defaults(versions=1, images=250_000, records="top1")
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as folder:
        make_project(Path(folder), read_size(parser.parse_args()))
        (manifest,) = Path(folder).glob("versions/*/TestingGroundTruth-*")
        return compare(manifest)


def compare(manifest: Path) -> int:
    """All readers in turn, several rounds; prints the medians."""
    rounds = [{name: measure(name, manifest) for name in READERS} for _ in range(ROUNDS)]
    pairs = [measure_two("parse_manifest", manifest) for _ in range(ROUNDS)]
    size = manifest.stat().st_size / 2**20
    print(f"manifest of {size:.0f} MiB, median processor seconds of {ROUNDS} rounds")
    for name in READERS:
        seconds = median(costs[name]["seconds"] for costs in rounds)
        print(f"{name:17}{seconds:6.2f} s, {size / seconds:.0f} MiB/s")
    print(f"peak {max(c['parse_evaluation']['mib'] for c in rounds):.0f} MiB above the imports")
    one = median(c["json"]["seconds"] / c["parse_manifest"]["seconds"] for c in rounds)
    two = median(2 * c["json"]["wall"] / pair for c, pair in zip(rounds, pairs, strict=True))
    what = f"reading {n_lines(manifest):,} lines ({size:.0f} MiB) into columns against a bare "
    what += "`json.loads` loop"
    print_row(f"{what}, one process", "2 ×", f"{one:.2f} ×", met=one >= WANTED_ONE)
    print_row(
        "two such manifests in two processes against that loop over both",
        "3.5 ×",
        f"{two:.2f} ×",
        met=two >= WANTED_TWO,
    )
    return one < WANTED_ONE or two < WANTED_TWO


def n_lines(manifest: Path) -> int:
    """How many lines there are."""
    with manifest.open("rb") as file:
        return sum(1 for _ in file)


def measure(reader: str, manifest: Path) -> dict[str, float]:
    """What one reader costs in a fresh process; see `read`."""
    return finish(start(reader, manifest))


def measure_two(reader: str, manifest: Path) -> float:
    """Seconds by the clock until both of two processes have read the manifest."""
    return max(finish(process)["wall"] for process in [start(reader, manifest) for _ in "ab"])


def start(reader: str, manifest: Path) -> subprocess.Popen[bytes]:
    """A fresh process that reads the manifest once."""
    command = [sys.executable, __file__, "--read", reader, str(manifest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """What it said."""
    answer, _ = process.communicate()
    return json.loads(answer)


def read(reader: str, manifest: Path) -> None:
    """In the fresh process: read the file once and print what it cost, above the imports."""
    run = READERS[reader](manifest)
    before, begun, started = peak_mib(), perf_counter(), process_time()
    run()
    seconds, wall = process_time() - started, perf_counter() - begun
    print(json.dumps({"seconds": seconds, "wall": wall, "mib": peak_mib() - before}))


def prepare_json(manifest: Path) -> Callable[[], object]:
    """The yardstick: every line decoded and thrown away."""

    def run() -> None:
        with manifest.open("rb") as file:
            for line in file:
                json.loads(line)

    return run


def prepare_manifest(manifest: Path) -> Callable[[], object]:
    """All columns of the manifest."""
    from mlrek.formats.rekognition import ManifestInput
    from mlrek.formats.rekognition.manifest import parse_manifest

    return lambda: parse_manifest(ManifestInput(uri=str(manifest), chunks=read_chunks(manifest)))


def prepare_evaluation(manifest: Path) -> Callable[[], object]:
    """The whole evaluation, checked and sorted."""
    from mlrek.formats.rekognition import ManifestInput, parse_evaluation
    from mlrek.sources.description import parse_version_arn

    version = parse_version_arn("arn:aws:rekognition:us-east-1:1:project/p/version/v/1")
    if version is None:
        raise ValueError("not the ARN of a version")
    manifest_input = ManifestInput(uri=str(manifest), chunks=read_chunks(manifest))
    return lambda: parse_evaluation(version, manifest=manifest_input)


def read_chunks(manifest: Path) -> Iterator[bytes]:
    """The file as a source hands it over."""
    with manifest.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def peak_mib() -> float:
    """The highest memory of this process so far (`ru_maxrss` would begin with the parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


READERS = {
    "json": prepare_json,
    "parse_manifest": prepare_manifest,
    "parse_evaluation": prepare_evaluation,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(sys.argv[2], Path(sys.argv[3]))
    else:
        sys.exit(main())

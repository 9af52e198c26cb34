"""How fast is a manifest read, and how much memory does that take?

Reads one manifest with a bare loop of `json.loads`, which keeps nothing, with `parse_manifest`,
which builds all columns, and with `parse_evaluation`, which also checks and sorts them; in turn,
each in a process of its own. Ends with 1 where `parse_manifest` is not twice as fast as the bare
loop, or `parse_evaluation` needs more than 100 MiB plus a quarter of the file above its imports.

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
from time import process_time

from make_manifests import add_size_options, make_project, read_size

WANTED_RATIO = 2.0
ALLOWED_MIB = 100
ALLOWED_SHARE = 0.25
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
    seconds = {name: median(costs[name][0] for costs in rounds) for name in READERS}
    peak = max(costs["parse_evaluation"][1] for costs in rounds)
    size = manifest.stat().st_size / 2**20
    allowed = ALLOWED_MIB + ALLOWED_SHARE * size
    print(f"manifest of {size:.0f} MiB, median CPU seconds of {ROUNDS} rounds")
    for name in READERS:
        ratios = ", ".join(f"{costs['json'][0] / costs[name][0]:.2f}" for costs in rounds)
        ratio = seconds["json"] / seconds[name]
        print(f"{name:17}{seconds[name]:6.2f} s  json/this {ratio:.2f}  (per round {ratios})")
    print(f"peak {peak:.0f} MiB above the imports (allowed {allowed:.0f} MiB)")
    is_fast = seconds["json"] / seconds["parse_manifest"] >= WANTED_RATIO
    return 0 if is_fast and peak <= allowed else 1


def measure(reader: str, manifest: Path) -> tuple[float, float]:
    """CPU seconds and peak MiB above the imports of one reader in a fresh process."""
    command = [sys.executable, __file__, "--read", reader, str(manifest)]
    answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return answer["seconds"], answer["mib"]


def read(reader: str, manifest: Path) -> None:
    """In the fresh process: read the file once and print what it cost."""
    run = READERS[reader](manifest)
    before, start = peak_mib(), process_time()
    run()
    print(json.dumps({"seconds": process_time() - start, "mib": peak_mib() - before}))


def prepare_json(manifest: Path) -> Callable[[], object]:
    """The yardstick: every line decoded and thrown away."""

    def run() -> None:
        with manifest.open("rb") as file:
            for line in file:
                json.loads(line)

    return run


def prepare_manifest(manifest: Path) -> Callable[[], object]:
    """All columns of the manifest."""
    from mlrek.formats.rekognition_manifest import ManifestInput, parse_manifest

    return lambda: parse_manifest(ManifestInput(uri=str(manifest), chunks=read_chunks(manifest)))


def prepare_evaluation(manifest: Path) -> Callable[[], object]:
    """The whole evaluation, checked and sorted."""
    from mlrek.formats.rekognition import ManifestInput, parse_evaluation
    from mlrek.formats.rekognition_arn import parse_version_arn

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

"""Whatever bytes a file holds: it parses or is refused by our own error, fast, in little memory."""

import time
import tracemalloc

import pytest
from fakes.parsers import PARSERS, read_seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlrek.errors import MlrekError

SEEDS = read_seeds()
TOKENS = [
    *(b"1e999", b"-1e999", b"-1", b"NaN", b"-Infinity", b"9" * 400, b"0" * 50, b"1e-999"),
    *(
        b"\x00",
        b"\\u0000",
        b"\\ud800",
        b"\\udfff\\ud800",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"',
        b"[",
        b"{",
        b"}",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r",
    ),
    *(b'{"a":1,"a":2}', b"1000000000", b"=cmd()", b"../../etc/passwd", b"\x1b[2J", b"<script>"),
]
FAST_S = 30.0
MEMORY = 64 << 20

edits = st.lists(
    st.tuples(
        st.integers(0, 6000),
        st.integers(0, 40),
        st.sampled_from(TOKENS) | st.binary(max_size=8) | st.just(b""),
    ),
    max_size=4,
)
anyhow = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(params=PARSERS)
def parse(request):
    """Each parser."""
    return PARSERS[request.param]


def try_to(parse, data: bytes) -> None:
    """Parse, where our own errors are as good as an answer, if they say something."""
    said = "parsed"
    try:
        parse(data)
    except MlrekError as exc:
        said = str(exc)
    assert said


def test_a_file_of_another_kind(parse):
    """Each parser gets what all the others read."""
    for seed in SEEDS:
        try_to(parse, seed)


@anyhow
@given(seed=st.sampled_from(SEEDS), edits=edits)
def test_a_damaged_file(parse, seed, edits):
    """Real bytes with some of them replaced, taken out or put in."""
    for place, length, token in edits:
        start = place % (len(seed) + 1)
        seed = seed[:start] + token + seed[start + length :]
    try_to(parse, seed)


@anyhow
@given(data=st.binary(max_size=200) | st.lists(st.sampled_from(TOKENS)).map(b"".join))
def test_any_bytes(parse, data):
    """No file at all."""
    try_to(parse, data)


LARGE = {
    "nested lists": b"[" * 500_000,
    "nested objects": b'{"a":' * 200_000,
    "nested in a line": b'{"source-ref": "s3://b/1.jpg", "a": ' + b"[" * 500_000 + b"\n",
    "nested tables": b"a = " + b"[" * 100_000,
    "dotted tables": b"[" + b"a." * 50_000 + b"a]",
    "a long number": b'{"Version": ' + b"9" * 1_000_000 + b"}",
    "a long name": b'{"' + b"a" * 2_000_000 + b'": 1}',
    "many keys": b"{" + b",".join(b'"k%d":1' % i for i in range(100_000)) + b"}",
    "one key again and again": b"{" + b",".join([b'"source-ref":"s3://b/1"'] * 50_000) + b"}",
    "many lines": b'{"source-ref":1}\n' * 20_000,
    "a huge class id": (
        b'{"source-ref":"s3://b/1.jpg","a":[4000000000],"a-metadata":{"class-map":'
        b'{"4000000000":"cat"},"type":"groundtruth/image-classification-multilabel"}}\n'
    ),
    "a huge class": (
        b'{"source-ref":"s3://b/1.jpg","a":4000000000,"a-metadata":{"class-name":"cat",'
        b'"type":"groundtruth/image-classification"}}\n'
    ),
    "a box of a huge class": (
        b'{"source-ref":"s3://b/1.jpg","b":{"image_size":[{"width":4000000000,"height":4000000000,'
        b'"depth":3}],"annotations":[{"class_id":4000000000,"left":1,"top":1,"width":2,"height":2}]'
        b'},"b-metadata":{"class-map":{"4000000000":"cat"},"type":"groundtruth/object-detection",'
        b'"objects":[{"confidence":1}]}}\n'
    ),
    "a huge image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\0\0\0",
}


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
def test_large_and_deep_ones(parse, data):
    """Soon, and in memory of the order of the file."""
    parse_warm(parse)
    tracemalloc.start()
    began = time.process_time()
    try:
        try_to(parse, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert time.process_time() - began < FAST_S
    assert peak < MEMORY


def parse_warm(parse) -> None:
    """Pay for the imports before they are measured."""
    try_to(parse, b"{}")

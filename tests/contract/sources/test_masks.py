"""Where the masks that a manifest names are looked for."""

import pytest

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.s3 import S3Storage
from mlrek.sources.saved_lookout import WINDOW, MaskFolder
from mlrek.sources.storage import LocalStorage


@pytest.fixture
def below(tmp_path):
    """Put files below a folder, and read masks that a manifest there names."""

    def make(files):
        for path, content in files.items():
            file = tmp_path / "set" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return MaskFolder(LocalStorage(), str(tmp_path / "set"))

    return make


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/a/masks/1.png", "a/masks/1.png", "./a/masks/1.png", "/data/a/masks/1.png"],
)
@pytest.mark.parametrize("place", ["a/masks/1.png", "masks/1.png", "1.png"])
def test_a_mask_lies_below_the_manifest(below, uri, place):
    """Under as much of its path as there is."""
    assert list(below({place: b"mask"}).read([uri])) == [b"mask"]


def test_the_longest_path_counts(below):
    """True and predicted masks may have the same names in folders of their own."""
    folder = below({"true/1.png": b"true", "found/1.png": b"found", "1.png": b"other"})
    uris = ["s3://b/true/1.png", "s3://b/found/1.png"]
    assert list(folder.read(uris)) == [b"true", b"found"]


def test_no_path_leaves_the_folder(below, tmp_path):
    """Names are untrusted."""
    folder = below({"1.png": b"mask"})
    (tmp_path / "secret.png").write_bytes(b"secret")
    (error,) = folder.read(["../secret.png"])
    assert isinstance(error, SourceNotFoundError)


def test_masks_come_in_order_with_what_is_missing_in_its_place(below):
    """However many there are, also those that are asked for twice."""
    n = 2 * WINDOW + 3
    folder = below({f"{i}.png": str(i).encode() for i in range(n) if i != 5})
    found = list(folder.read([*(f"s3://b/m/{i}.png" for i in range(n)), "s3://b/m/0.png"]))
    assert isinstance(found[5], SourceNotFoundError)
    del found[5]
    assert found == [*(str(i).encode() for i in range(n) if i != 5), b"0"]
    assert folder.n_read == n


def test_other_masks_have_another_digest(below):
    """So that a run is made anew when masks change."""
    first = below({"1.png": b"mask"})
    list(first.read(["1.png"]))
    second = below({"1.png": b"other"})
    list(second.read(["1.png"]))
    assert first.describe().sha256 != second.describe().sha256


def test_in_s3_a_mask_is_read_where_the_manifest_says(s3_server):
    """Or, if that is gone or denied, below the manifest."""
    s3_server.put("origin", "masks/1.png", b"there")
    s3_server.put("copy", "set/masks/1.png", b"here")
    s3_server.put("copy", "set/masks/2.png", b"here too")
    s3_server.put("origin", "masks/3.png", b"denied")
    s3_server.put("copy", "set/masks/3.png", b"copied")
    s3_server.proxy.fail("origin/masks/3.png", 403, "AccessDenied")
    folder = MaskFolder(S3Storage(AwsClients(AwsOptions())), "s3://copy/set")
    uris = [f"s3://origin/masks/{i}.png" for i in (1, 2, 3)]
    assert list(folder.read(uris)) == [b"there", b"here too", b"copied"]


def test_a_denied_mask_says_so(s3_server):
    """Not that it is missing."""
    s3_server.put("origin", "1.png", b"denied")
    s3_server.put("copy", "x", b"")
    s3_server.proxy.fail("origin/1.png", 403, "AccessDenied")
    folder = MaskFolder(S3Storage(AwsClients(AwsOptions())), "s3://copy/set")
    (error,) = folder.read(["s3://origin/1.png"])
    assert isinstance(error, SourceError)
    assert "access denied" in str(error)

"""A few test images for pictures: found where they lie, and not asked for in vain."""

from functools import partial

import pytest

from mlrek.errors import SourceInterruptedError
from mlrek.evaluation import Project, Provider, Version
from mlrek.figures.pictures import Unread
from mlrek.sources import Part, VersionEntry
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.images import READERS, Deadline, read_images, read_images_below
from mlrek.sources.s3 import S3Storage
from mlrek.sources.storage import LocalStorage


def make_entry(manifest):
    """A version whose one file is that manifest."""
    project = Project(provider=Provider.REKOGNITION, arn="arn:p", name="p")
    return VersionEntry(
        version=Version(project=project, arn="arn:v", name="v"),
        parts=(Part(role="manifest", uri=manifest),),
    )


@pytest.fixture
def in_s3(s3_server):
    """Reads images of a version whose manifest is in S3."""
    s3_server.put("console", "evaluation/p/v/manifest.json", b"{}")
    storage = S3Storage(AwsClients(AwsOptions()))
    return partial(read_images, storage, make_entry("s3://console/evaluation/p/v/manifest.json"))


NEAR = ["s3://bucket/pets/b.png", "s3://bucket/pets/none.png", "gs://bucket/pets/a.png"]


def put_images(folder):
    """Two images, whose content is their name, in a folder `pets` there."""
    (folder / "pets").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (folder / "pets" / name).write_bytes(name.encode())


@pytest.mark.parametrize("place", ["p/v", "p/v/images"])
def test_on_a_disk_images_lie_below_the_manifests_folder(tmp_path, place):
    """There, or in `images` there; in the order that was asked."""
    put_images(tmp_path / place)
    entry = make_entry(str(tmp_path / "p" / "v" / "manifest.json"))

    assert list(read_images(LocalStorage(), entry, NEAR)) == [b"b.png", b"", b"a.png"]


@pytest.mark.parametrize("place", [".", "images"])
def test_or_in_the_archive(tmp_path, place):
    """What lies next to `project.json` belongs to all versions of an archive."""
    put_images(tmp_path / "saved" / place)
    (tmp_path / "saved" / "project.json").write_text("{}")
    entry = make_entry(str(tmp_path / "saved" / "versions" / "v1" / "manifest.json"))

    assert list(read_images(LocalStorage(), entry, NEAR)) == [b"b.png", b"", b"a.png"]


def test_of_images_that_are_not_there_no_similar_names_are_looked_for(tmp_path, monkeypatch):
    """That is done for what a person typed, and costs more than the look itself."""
    asked = []
    monkeypatch.setattr("mlrek.sources.storage.say_missing_path", asked.append)
    manifest = tmp_path / "v1" / "manifest.json"
    manifest.parent.mkdir()

    assert not any(read_images(LocalStorage(), make_entry(str(manifest)), NEAR))
    assert not asked


@pytest.mark.parametrize("place", ["", "images", "versions", "pictures"])
@pytest.mark.parametrize("folder", ["Downloads/x", "Downloads/versions/v1"])
def test_what_lies_beside_the_folder_of_a_manifest_is_not_looked_at(tmp_path, place, folder):
    """A stranger's manifest names `Pictures/passport.jpg`: whoever opens it keeps it private."""
    for above in (tmp_path, tmp_path / "Downloads"):
        put_images(above / place)
    entry = make_entry(str(tmp_path / folder / "manifest.json"))

    assert list(read_images(LocalStorage(), entry, NEAR)) == [b"", b"", b""]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    """An unpacked folder may hold links to anywhere; a folder that somebody names may too."""
    put_images(tmp_path / "private")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "pets").symlink_to(tmp_path / "private" / "pets")
    entry = make_entry(str(tmp_path / "x" / "manifest.json"))
    named = read_images_below(LocalStorage(), str(tmp_path / "x"), NEAR)

    assert list(read_images(LocalStorage(), entry, NEAR)) == [b"", b"", b""]
    assert list(named) == [b"b.png", b"", b"a.png"]


def test_an_image_that_no_service_would_take_is_not_read(tmp_path, monkeypatch):
    """Its size is asked first; large ones are read one by one, not eight at once."""
    monkeypatch.setattr("mlrek.sources.images.SMALL_SIZE", 10)
    monkeypatch.setattr("mlrek.sources.images.MAX_SIZE", 100)
    for name, size in (("small", 10), ("large", 100), ("huge", 101)):
        (tmp_path / f"{name}.png").write_bytes(b"x" * size)
    uris = [f"s3://bucket/{name}.png" for name in ("small", "large", "huge", "small")]
    found = read_images_below(LocalStorage(), str(tmp_path), uris)

    assert [len(content) for content in found] == [10, 100, 0, 10]


def test_the_size_of_an_image_in_s3_is_asked_before_its_content(s3_server, in_s3, monkeypatch):
    """What is too large costs one answer without its content."""
    monkeypatch.setattr("mlrek.sources.images.SMALL_SIZE", 10)
    monkeypatch.setattr("mlrek.sources.images.MAX_SIZE", 100)
    s3_server.put("pets", "1.png", b"x" * 101)
    s3_server.put("pets", "2.png", b"x" * 100)

    assert [len(content) for content in in_s3(["s3://pets/1.png", "s3://pets/2.png"])] == [0, 100]


def test_in_s3_images_are_read_where_the_manifest_says(s3_server, in_s3):
    """With one request each, whatever their number."""
    uris = [f"s3://pets/{i}.png" for i in range(30)]
    for i, uri in enumerate(uris):
        s3_server.put("pets", uri.rpartition("/")[2], str(i).encode())
    s3_server.proxy.requests.clear()

    assert list(in_s3(uris)) == [str(i).encode() for i in range(30)]
    assert len(s3_server.proxy.requests) == 30


def test_in_s3_what_may_not_be_read_says_so(s3_server, in_s3):
    """It has no byte, as what is not there, but the reason."""
    s3_server.put("pets", "1.png", b"1")
    s3_server.proxy.fail("/pets/1.png", 403, "AccessDenied")
    denied, missing = in_s3(["s3://pets/1.png", "s3://pets/2.png"])

    assert (denied, missing) == (b"", b"")
    assert denied.reason.startswith("access denied; this needs s3:GetObject")
    assert not isinstance(missing, Unread)


def test_in_s3_the_folder_of_the_manifest_is_the_last_place_that_is_asked(s3_server):
    """First the image's own place; nothing above, and nothing by the name of `s3:`."""
    s3_server.put("bucket", "evaluation/manifest.json", b"{}")
    storage = S3Storage(AwsClients(AwsOptions()))
    s3_server.proxy.requests.clear()
    entry = make_entry("s3://bucket/evaluation/manifest.json")

    assert list(read_images(storage, entry, ["s3://pets/1.png"])) == [b""]
    asked = {path for _, path, _ in s3_server.proxy.requests}
    assert asked == {"/pets/1.png", "/bucket/evaluation/1.png"}


@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (503, "SlowDown")])
def test_what_cannot_be_read_just_now_is_an_error(s3_server, in_s3, monkeypatch, status, code):
    """Later it may be, so nobody may take the image for missing."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3_server.put("pets", "1.png", b"here")
    s3_server.proxy.fail("/1.png", status, code)
    with pytest.raises(SourceInterruptedError):
        list(in_s3(["s3://pets/1.png"]))


def test_a_denied_bucket_is_not_asked_for_every_image(s3_server, in_s3):
    """After three images in a row the rest is not asked for, and nothing is raised."""
    uris = [f"s3://pets/{i}.png" for i in range(240)]
    s3_server.proxy.fail("", 403, "AccessDenied")
    s3_server.proxy.requests.clear()

    assert list(in_s3(uris)) == [b""] * 240
    assert len({uri for uri in uris if s3_server.proxy.requests_for(uri[4:])}) == 3
    assert len(s3_server.proxy.requests) <= 20


def test_a_few_missing_images_do_not_stop_the_others(s3_server, in_s3):
    """Once some could be read, as many as the patience allows may fail in a row."""
    uris = [f"s3://pets/{i}.png" for i in range(50)]
    for i in (0, 1, 49):
        s3_server.put("pets", f"{i}.png", b"here")

    patient = list(in_s3(uris, Deadline(in_a_row=60)))
    hasty = list(in_s3(uris, Deadline(in_a_row=10)))

    assert [i for i, content in enumerate(patient) if content] == [0, 1, 49]
    assert [i for i, content in enumerate(hasty) if content] == [0, 1]
    assert len(hasty) == 50


def test_time_ends_the_reading(s3_server, in_s3):
    """What was asked for by then is there, and every other image is missing."""
    uris = [f"s3://pets/{i}.png" for i in range(40)]
    for i in range(40):
        s3_server.put("pets", f"{i}.png", b"here")

    found = list(in_s3(uris, Deadline(seconds=0)))

    assert found == [b"here"] + [b""] * 39
    assert READERS < 39


def test_a_named_folder_is_searched_by_the_ends_of_paths(tmp_path):
    """The longest end that is there, never outside of it."""
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_bytes(b"a1")
    (tmp_path / "set" / "1.png").write_bytes(b"1")
    (tmp_path / "secret.png").write_bytes(b"secret")
    uris = ["s3://bucket/x/a/1.png", "s3://bucket/b/1.png", "../secret.png", "x/../../secret.png"]
    read = partial(read_images_below, LocalStorage(), str(tmp_path / "set"))

    assert list(read(uris)) == [b"a1", b"1", b"", b""]

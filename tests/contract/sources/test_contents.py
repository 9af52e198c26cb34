"""What the bytes of test images are: listed in S3 within bounds, digested on a disk."""

import json
from hashlib import md5, sha256

import pytest
from fakes.s3_proxy import S3Listed

from mlrek.evaluation import Project, Provider, Version
from mlrek.sources import AwsOptions, Part, VersionEntry, open_source

UNKNOWN = "whether test images were overwritten is unknown: "


def ask_source(place, images, training_manifest="", folder=""):
    """What a version, whose manifests lie at a place, tells of images."""
    project = Project(provider=Provider.REKOGNITION, arn="arn:p", name="p")
    parts = [Part(role="manifest", uri=f"{place}/manifest.json")]
    if training_manifest:
        parts.append(Part(role="training_manifest", uri=training_manifest))
    entry = VersionEntry(
        version=Version(project=project, arn="arn:v", name="v"), parts=tuple(parts)
    )
    return open_source(place).read_contents(entry, images, folder, AwsOptions())


def write_manifest(images):
    """A manifest that names images."""
    return b"".join(json.dumps({"source-ref": image}).encode() + b"\n" for image in images)


@pytest.fixture
def ask(s3_server):
    """Asks for images of a version whose manifests are in S3."""

    def ask_s3(images, trained=()):
        place = "s3://console/evaluation/p/v"
        if not trained:
            return ask_source(place, images)
        s3_server.put("console", "evaluation/p/v/trained.json", write_manifest(trained))
        return ask_source(place, images, f"{place}/trained.json")

    return ask_s3


def list_pages(server):
    """The prefix and start of each page that was asked for."""
    paths = [path for _, path, _ in server.proxy.requests if "list-type=2" in path]
    asked = [dict(pair.split("=", 1) for pair in path.split("?")[1].split("&")) for path in paths]
    return [(one.get("prefix", ""), one.get("start-after", "")) for one in asked]


def md5_of(content):
    """As S3 gives it for an object that is uploaded whole."""
    return md5(content).hexdigest()  # noqa: S324 (S3's own)


def test_s3_tells_size_etag_and_time(s3_server, ask):
    """In one page; an image that is not there is not known, one in another store neither."""
    for name in ("b c.png", "ü+1.png", "other.png"):
        s3_server.put("pets", f"test/{name}", name.encode())
    s3_server.proxy.requests.clear()
    names = ["s3://pets/test/ü+1.png", "s3://pets/test/gone.png", "s3://pets/test/b c.png"]
    found = ask([*names, "gs://pets/test/b c.png", "s3://pets/test/\ud800.png"])

    assert found.contents.sizes.tolist() == [8, -1, 7, -1, -1]
    expected = (md5_of("ü+1.png".encode()), "", md5_of(b"b c.png"), "", "")
    assert found.contents.etags == expected
    assert found.contents.is_md5.tolist() == [True, False, True, False, False]
    head = s3_server.client.head_object(Bucket="pets", Key="test/b c.png")["LastModified"]
    assert found.contents.modified_ms[2] // 1000 == int(head.timestamp())
    assert found.contents.is_known.tolist() == [True, False, True, False, False]
    assert (found.copied, found.warnings) == (None, ())
    assert len(list_pages(s3_server)) == 1


@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}])
def test_an_etag_is_an_md5_where_its_objects_say_so(s3_server, ask, how):
    """A few are asked, from the oldest to the newest."""
    for i in range(30):
        s3_server.put("pets", f"{i:02}.png", bytes([i]), **how)
    s3_server.proxy.requests.clear()
    found = ask([f"s3://pets/{i:02}.png" for i in range(30)])

    assert found.contents.is_md5.all()
    asked = [path for method, path, _ in s3_server.proxy.requests if method == "HEAD"]
    assert (len(asked), asked[0], asked[-1]) == (8, "/pets/00.png", "/pets/29.png")


def test_an_etag_of_kms_or_of_parts_is_none(s3_server, ask):
    """Both may differ for the same bytes; what is known is that equal ones are equal."""
    s3_server.put("pets", "plain.png", b"x")
    s3_server.put("kms", "1.png", b"x", ServerSideEncryption="aws:kms")
    upload = s3_server.client.create_multipart_upload(Bucket="pets", Key="parts.png")
    place = {"Bucket": "pets", "Key": "parts.png", "UploadId": upload["UploadId"]}
    part = s3_server.client.upload_part(**place, PartNumber=1, Body=b"y")
    s3_server.client.complete_multipart_upload(
        **place, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    found = ask(["s3://pets/plain.png", "s3://kms/1.png", "s3://pets/parts.png"])

    assert found.contents.is_md5.tolist() == [True, False, False]
    assert found.contents.etags[2].endswith("-1")
    assert found.contents.sizes.tolist() == [1, 1, 1]


def test_a_bucket_that_changed_its_encryption_is_plain_before(s3_server, ask):
    """What lies between two plain objects in time is plain; nothing after the last plain one is."""
    for i in range(16):
        later = {"ServerSideEncryption": "aws:kms"} if i >= 8 else {}
        one = s3_server.put("moto", f"{i:02}.png", b"x", **later)
        listed = S3Listed(f"{i:02}.png", 1, one["ETag"].strip('"'), f"2024-05-{i + 1:02}T00:00:00Z")
        s3_server.proxy.listings.setdefault("moto", []).append(listed)
    found = ask([f"s3://moto/{i:02}.png" for i in range(16)])

    assert found.contents.is_md5.tolist() == [True] * 7 + [False] * 9


def test_objects_that_may_only_be_listed_have_sizes(s3_server, ask):
    """Without s3:GetObject nobody knows what their ETags are; the first refusal is the last."""
    for i in range(9):
        s3_server.put("pets", f"{i}.png", bytes(i))
    s3_server.proxy.fail(".png", 403, "AccessDenied")
    s3_server.proxy.requests.clear()
    found = ask([f"s3://pets/{i}.png" for i in range(9)])

    assert found.contents.sizes.tolist() == list(range(9))
    assert (found.contents.is_md5.any(), found.warnings) == (False, ())
    assert {path for _, path, _ in s3_server.proxy.requests if ".png?" not in path} >= {
        "/pets/0.png"
    }
    assert len([path for _, path, _ in s3_server.proxy.requests if path.endswith(".png")]) <= 2


def list_many(server, n, etag="0" * 32):
    """A prefix of so many objects: `many/000000.png`, …, all of another size."""
    server.put("moto", "x", b"")  # it has a bucket, if another one
    objects = [S3Listed(key=f"many/{i:06}.png", size=i + 1, etag=etag) for i in range(n)]
    server.proxy.listings["pets"] = objects


def test_of_a_hundred_thousand_objects_only_pages_with_images_are_read(s3_server, ask):
    """Images that lie together, at the end of a full prefix: two pages, not a hundred."""
    list_many(s3_server, 100_000)
    places = range(98_500, 99_700)
    found = ask([f"s3://pets/many/{i:06}.png" for i in places])

    assert found.contents.sizes.tolist() == [i + 1 for i in places]
    assert list_pages(s3_server) == [
        ("many/", "many/098500.pn"),
        ("many/", "many/099500.pn"),
    ]
    assert found.warnings == ()


@pytest.mark.parametrize("n_images", [400, 1500])
def test_where_finding_them_takes_too_many_pages_nothing_is_claimed(s3_server, ask, n_images):
    """Images all over the prefix: after 10 pages and 2 for each thousand images it is given up."""
    list_many(s3_server, 100_000)
    step = 100_000 // n_images
    found = ask([f"s3://pets/many/{i * step:06}.png" for i in range(n_images)])

    pages = 10 + 2 * n_images // 1000
    assert (found.contents, found.copied) == (None, None)
    assert found.warnings == (
        f"{UNKNOWN}s3://pets/many/: finding them takes more than {pages} pages",
    )
    assert len(list_pages(s3_server)) == pages


def test_images_in_as_many_folders_as_labels_are_listed_from_above(s3_server, ask):
    """Fifty folders, one image in each: ten pages would not do."""
    keys = [f"train/label {i:02}/1.png" for i in range(50)]
    s3_server.put("pets", "zoo/1.png", b"")
    for key in keys:
        s3_server.put("pets", key, key.encode())
    s3_server.proxy.requests.clear()
    found = ask([f"s3://pets/{key}" for key in keys])

    assert found.contents.is_known.all()
    assert [prefix for prefix, _ in list_pages(s3_server)] == ["train/"]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access denied; this needs s3:ListBucket"),
        (503, "SlowDown", "AWS keeps throttling"),
        (400, "ExpiredToken", "have expired"),
        (404, "NoSuchBucket", ""),
    ],
)
def test_what_may_not_be_listed_costs_one_warning(s3_server, ask, monkeypatch, status, code, said):
    """Images elsewhere not even that; those of another bucket are known all the same."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3_server.put("pets", "1.png", b"x")
    s3_server.proxy.fail("/theirs", status, code)
    theirs = ["s3://theirs/1.png", "s3://theirs/a/2.png"]
    alone, together = ask(theirs), ask([*theirs, "s3://pets/1.png"])

    for found in (alone, together):
        assert [text.startswith(UNKNOWN) and said in text for text in found.warnings] == (
            [True] if said else []
        )
    assert alone.contents is None
    assert together.contents.is_known.tolist() == [False, False, True]


def test_only_images_in_s3_are_listed(s3_server, ask):
    """Nothing is asked where no image is there."""
    assert ask(["gs://pets/1.png", "1.png", "s3://pets", "s3://pets--x-s3/1.png"]).contents is None
    assert s3_server.proxy.requests == []


def test_copies_of_trained_images_are_found_in_the_same_pages(s3_server, ask):
    """By equal ETags of equal size, whatever the name; of no bytes there are no copies."""
    for key, content in {"a": b"cat", "b": b"dog", "c": b"", "d": b"dog", "e": b""}.items():
        s3_server.put("pets", f"{key}.png", content)
    s3_server.put("old", "x.png", b"cat")
    s3_server.proxy.requests.clear()
    images = [f"s3://pets/{key}.png" for key in "abc"]
    trained = [*(f"s3://pets/{key}.png" for key in "de"), "s3://old/x.png"]
    found = ask(images, trained)

    assert found.copied.tolist() == [True, True, False]
    assert len(list_pages(s3_server)) == 2


def test_copies_among_too_many_trained_images_are_not_claimed(s3_server, ask):
    """What the test images are is known all the same, and the pages are bounded."""
    list_many(s3_server, 100_000)
    images = [f"s3://pets/many/{i:06}.png" for i in range(10)]
    trained = [f"s3://pets/many/{i:06}.png" for i in range(0, 100_000, 200)]
    found = ask(images, trained)

    assert found.contents.is_known.all()
    assert found.copied.tolist() == [True] + [False] * 9  # it is named in the training manifest
    assert "whether copies of test images were trained on is unknown" in found.warnings[0]
    assert len(list_pages(s3_server)) == 10 + 1


# ---- on a disk -----------------------------------------------------------------------------


def put(folder, **files):
    """Images by name, a folder's after `__`, with their content."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def ask_disk(tmp_path):
    """Asks for images of a version whose manifest is in the folder `p`."""

    def ask_folder(images, trained=(), folder=""):
        place = tmp_path / "p"
        place.mkdir(exist_ok=True)
        (place / "trained.json").write_bytes(write_manifest(trained))
        return ask_source(str(place), images, str(place / "trained.json"), folder)

    return ask_folder


def test_a_disk_tells_size_and_digest(tmp_path, ask_disk):
    """Below the manifest's folder, in the order that was asked; no time, which a copy changes."""
    put(tmp_path / "p", images__a=b"aa", pets__b=b"b")
    found = ask_disk(["s3://x/pets/b.png", "gs://x/a.png", "s3://x/c.png", "s3://x/pets/b.png"])

    assert found.contents.sizes.tolist() == [1, 2, -1, 1]
    one = sha256(b"b").hexdigest()
    assert found.contents.sha256 == (one, sha256(b"aa").hexdigest(), "", one)
    assert found.contents.modified_ms.tolist() == [-1] * 4


def test_pictures_elsewhere_on_a_disk_are_not_looked_for(tmp_path, ask_disk, monkeypatch):
    """Neither next to the folder, nor behind a link out of it, nor in S3: no AWS is asked."""
    put(tmp_path / "q", a=b"a")
    put(tmp_path, b=b"b")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.png").symlink_to(tmp_path / "q" / "a.png")
    monkeypatch.setattr("mlrek.sources.aws._make_client", lambda *_: pytest.fail("AWS was asked"))
    found = ask_disk([f"s3://x/{name}.png" for name in "abcdefgh"])

    assert (found.contents, found.copied, found.warnings) == (None, None, ())


def test_a_file_that_is_no_image_of_a_service_is_not_digested(tmp_path, ask_disk, monkeypatch):
    """Larger than any they take."""
    monkeypatch.setattr("mlrek.sources.images.MAX_SIZE", 10)
    put(tmp_path / "p", a=b"x" * 11, b=b"x" * 10)
    found = ask_disk(["s3://x/b.png", "s3://x/a.png"])

    assert found.contents.sizes.tolist() == [10, -1]


def test_copies_on_a_disk_are_found_by_digest(tmp_path, ask_disk):
    """Also those that are no copy but one file, which two names lead to, are told apart."""
    put(tmp_path / "p", test__1=b"cat", test__2=b"dog", train__3=b"cat", train__4=b"cow", five=b"x")
    put(tmp_path / "p", test__6=b"hen", test__7=b"hen")
    images = [f"s3://x/{name}.png" for name in ("test/1", "test/2", "a/five", "test/6", "test/7")]
    trained = [f"s3://x/{name}.png" for name in ("train/3", "train/4", "b/five", "test/7")]
    found = ask_disk(images, trained)

    assert found.copied.tolist() == [True, False, False, True, True]


def test_a_folder_that_somebody_names_is_looked_through(tmp_path, ask_disk):
    """`--images FOLDER`, for a local manifest."""
    put(tmp_path / "q", a=b"a")
    found = ask_disk(["s3://x/a.png"], folder=str(tmp_path / "q"))

    assert found.contents.sizes.tolist() == [1]


def test_a_folder_in_s3_that_somebody_names_is_listed(s3_server, tmp_path):
    """`--images s3://pets/test`: what a local manifest names below it, and nothing else."""
    s3_server.put("pets", "test/1.png", b"x")
    s3_server.put("pets", "tester/2.png", b"y")
    images, folder = ["s3://pets/test/1.png", "s3://pets/tester/2.png"], "s3://pets/test"
    found = ask_source(str(tmp_path), images, folder=folder)

    assert found.contents.is_known.tolist() == [True, False]

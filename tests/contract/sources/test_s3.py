"""S3 over HTTP: awkward keys, downloads that break off, and every refusal in one clear line."""

import hashlib
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes.s3_proxy import S3Fault
from urllib3.response import BaseHTTPResponse, HTTPResponse

from mlrek.errors import SourceError, SourceInterruptedError, SourceNotFoundError
from mlrek.sources import aws, open_source, s3
from mlrek.sources import storage as storage_module
from mlrek.sources.aws import AwsClients, AwsOptions
from mlrek.sources.s3 import S3Storage
from mlrek.sources.storage import CHUNK

AWKWARD = [
    "evaluation/arn:aws:rekognition:us-east-1:111122223333:project/p/1690474772815/x.json",
    "a b/c+d/e f.json",
    "ü/猫/🌹.json",
    "%2F/100%.json",
    "a?b#c&d=e.json",
    "quote'\"<>.json",
]


@pytest.fixture
def storage(s3_server):
    """S3 as mlrek opens it."""
    return S3Storage(AwsClients(AwsOptions()))


def _read(storage, uri, version_id=""):
    return b"".join(storage.read(uri, version_id))


@pytest.mark.parametrize("key", AWKWARD)
def test_a_key_is_taken_as_it_is(storage, s3_server, key):
    """Colons, spaces, plus, percent, question marks and unicode need no escaping."""
    s3_server.put("bucket", key, key.encode())
    listed = [file.uri for file in storage.list_files("s3://bucket")]
    assert (listed, _read(storage, listed[0])) == ([f"s3://bucket/{key}"], key.encode())


def test_a_listing_has_names_and_sizes_from_the_prefix_on(storage, s3_server):
    """A name is the path from the prefix on; markers and hidden files are left out."""
    for key in ("p/a.json", "p/b/c.json", "p/", "p/.hidden/d.json", "p2/e.json"):
        s3_server.put("bucket", key, b"12345"[: len(key) - 5])
    for uri in ("s3://bucket/p", "s3://bucket/p/"):
        listed = [(file.name, file.size) for file in storage.list_files(uri)]
        assert listed == [("a.json", 3), ("b/c.json", 5)]


def test_a_prefix_without_files_says_how_to_find_out_what_is_there(s3_server):
    """A typing mistake in a prefix is no empty project."""
    s3_server.put("bucket", "evaluation/a.json", b"{}")
    said = r"there are no files; `aws s3 ls s3://bucket/` shows what is next to it"
    with pytest.raises(SourceNotFoundError, match=said):
        open_source("s3://bucket/evalution").list_versions()


def test_a_huge_prefix_without_evaluations_is_given_up(storage, s3_server, monkeypatch):
    """As a huge folder is; pictures do not count."""
    monkeypatch.setattr(storage_module, "MAX_SEARCHED", 3)
    for i in range(5):
        s3_server.put("bucket", f"pictures/{i}.jpg", b"")
        s3_server.put("bucket", f"logs/{i}.txt", b"")
        s3_server.put("bucket", f"logs/evaluated/{i}.txt", b"")
    s3_server.put("bucket", "logs/evaluated/TestingGroundTruth-p-v1.json", b"")
    assert len(list(storage.list_files("s3://bucket/pictures"))) == 5
    assert len(list(storage.list_files("s3://bucket/logs/evaluated"))) == 6
    s3_server.put("bucket", "other/a.txt", b"")
    for i in range(4):
        s3_server.put("bucket", f"other/{i}/a.txt", b"")
    said = "s3://bucket/other/: no evaluation among its first 5 files .*as far as s3://bucket/other"
    with pytest.raises(SourceError, match=said):
        list(storage.list_files("s3://bucket/other"))


def test_a_long_listing_says_where_it_looks(storage, s3_server, monkeypatch, caplog):
    """Once, also where nobody sits at a terminal."""
    monkeypatch.setattr(storage_module, "SAID_AFTER_S", -1.0)
    s3_server.put("bucket", "p/a.json", b"")
    list(storage.list_files("s3://bucket/p"))
    said = [record.getMessage() for record in caplog.records if record.name == "mlrek"]
    assert said == ["looking through s3://bucket/p/: 1 files so far"]


def test_a_flat_listing_stays_in_its_folder(storage, s3_server):
    """Not deep: only what is right below the prefix."""
    for key in ("p/a.json", "p/b/c.json"):
        s3_server.put("bucket", key, b"")
    assert [file.name for file in storage.list_files("s3://bucket/p", deep=False)] == ["a.json"]


def test_a_prefix_without_a_slash_after_it_begins_file_names(storage, s3_server):
    """Where nothing is below it as a folder, the files that begin with it are meant."""
    for key in ("out/v1-Summary.json", "out/v1-Manifest.json", "out/v1-other/x.json"):
        s3_server.put("bucket", key, b"")
    listed = [file.name for file in storage.list_files("s3://bucket/out/v1")]
    assert listed == ["v1-Manifest.json", "v1-Summary.json"]


def test_a_listing_goes_over_all_pages(storage, s3_server, monkeypatch):
    """S3 lists so many keys at once, and no more."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for name in "abcde":
        s3_server.put("bucket", name, b"")
    assert [file.name for file in storage.list_files("s3://bucket")] == list("abcde")
    assert len(s3_server.proxy.requests_for("/bucket")) == 3


def test_large_files_come_in_chunks(storage, s3_server):
    """No chunk is larger than 1 MiB, and together they are the file."""
    body = os.urandom(3 * CHUNK + 17)
    s3_server.put("bucket", "big", body)
    chunks = list(storage.read("s3://bucket/big"))
    assert (b"".join(chunks), max(map(len, chunks))) == (body, CHUNK)


def test_an_empty_file_is_empty(storage, s3_server):
    """An object without bytes can be read, also its head."""
    s3_server.put("bucket", "empty", b"")
    assert _read(storage, "s3://bucket/empty") == storage.read_head("s3://bucket/empty", 10) == b""


def test_the_head_is_read_alone(storage, s3_server):
    """Only the first bytes travel."""
    s3_server.put("bucket", "key", b"0123456789")
    assert storage.read_head("s3://bucket/key", 4) == b"0123"
    assert s3_server.proxy.requests_for("/key") == ["bytes=0-3"]


def test_a_version_id_reads_that_version(storage, s3_server):
    """The object version that the provider names is read, not the newest."""
    _version_bucket(s3_server)
    old = s3_server.put("bucket", "key", b"old")["VersionId"]
    s3_server.put("bucket", "key", b"new")
    state = storage.read_state("s3://bucket/key", old)
    assert (_read(storage, "s3://bucket/key", old), state.version_id) == (b"old", old)


def test_the_state_tells_contents_apart(storage, s3_server):
    """Size and ETag; for a plain object the ETag is the MD5 of the content."""
    s3_server.put("bucket", "key", b"content")
    state = storage.read_state("s3://bucket/key")
    digest = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    assert (state.size, state.etag, state.md5) == (7, digest, digest)
    assert str(state) == f"size=7 etag={digest}"


def test_the_etag_of_an_object_in_parts_is_no_md5(storage, s3_server):
    """Nothing is compared with a digest that is none."""
    client, bucket = s3_server.client, _bucket(s3_server)
    upload = client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = client.upload_part(
        Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"content"
    )
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="key",
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
    )
    state = storage.read_state("s3://bucket/key")
    assert (state.etag[-2:], state.md5) == ("-1", "")


@pytest.fixture(params=["urllib3", "urllib3 before 2.1"])
def _urllib3(request, monkeypatch):
    """The one that is installed, and as it was without `read1`."""
    if request.param != "urllib3":
        for response in (HTTPResponse, BaseHTTPResponse):
            monkeypatch.delattr(response, "read1", raising=False)
        assert not hasattr(HTTPResponse, "read1")


@pytest.mark.usefixtures("_urllib3")
def test_a_download_that_is_cut_off_goes_on(storage, s3_server):
    """The rest is asked for from the byte where it stopped, and nothing is doubled or lost."""
    body = os.urandom(2 * CHUNK)
    s3_server.put("bucket", "key", body)
    s3_server.proxy.cut_off("/key", after=CHUNK + 5, times=1)
    assert _read(storage, "s3://bucket/key") == body
    ranges = s3_server.proxy.requests_for("/key")
    assert ranges[0] == ""
    assert ranges[1].endswith(f"-{2 * CHUNK - 1}")


def test_a_download_that_is_always_cut_off_ends_with_an_error(storage, s3_server):
    """Half a file is never taken for a whole one."""
    s3_server.put("bucket", "key", b"0123456789" * 100)
    s3_server.proxy.cut_off("/key", after=10, times=1000)
    with pytest.raises(SourceError, match=r"s3://bucket/key: the download was cut off at byte 60;"):
        _read(storage, "s3://bucket/key")


def test_a_file_that_changes_while_it_is_read_is_an_error(storage, s3_server):
    """Two halves of two contents are never put together."""
    s3_server.put("bucket", "key", b"a" * 2 * CHUNK)
    s3_server.proxy.cut_off("/key", after=CHUNK, times=1)
    chunks = storage.read("s3://bucket/key")
    next(chunks)
    s3_server.put("bucket", "key", b"b" * 2 * CHUNK)
    with pytest.raises(SourceError, match="changed while it was read"):
        list(chunks)


@pytest.mark.usefixtures("_urllib3")
def test_a_download_that_stalls_goes_on(storage, s3_server, monkeypatch):
    """A connection without one byte for too long is given up, and the rest asked for again."""
    monkeypatch.setattr(aws, "READ_TIMEOUT", 2)
    body = os.urandom(2 * CHUNK)
    s3_server.put("bucket", "key", body)
    never = threading.Event()
    s3_server.proxy.faults.append(S3Fault(key="/key", method="GET", until=never, times=1))
    assert _read(storage, "s3://bucket/key") == body
    assert len(s3_server.proxy.requests_for("/key")) >= 2
    never.set()


def test_a_slow_download_is_waited_for(storage, s3_server):
    """As long as something comes."""
    body = os.urandom(2 * CHUNK)
    s3_server.put("bucket", "key", body)
    s3_server.proxy.faults.append(S3Fault(key="/key", method="GET", pause=0.7))
    assert _read(storage, "s3://bucket/key") == body
    assert len(s3_server.proxy.requests_for("/key")) == 1


@pytest.mark.usefixtures("_urllib3")
def test_a_download_that_only_trickles_is_given_up(storage, s3_server, monkeypatch):
    """Each byte comes in time, and the last one never would."""
    monkeypatch.setattr(s3, "SLOW_AFTER_S", 0.2)
    s3_server.put("bucket", "key", b"0123456789" * 100)
    s3_server.proxy.faults.append(S3Fault(key="/key", method="GET", drip=0.02))
    said = r"s3://bucket/key: only \d+ bytes came in \d+ seconds; .*run the command again"
    with pytest.raises(SourceInterruptedError, match=said):
        _read(storage, "s3://bucket/key")
    assert len(s3_server.proxy.requests_for("/key")) == 1


@pytest.mark.usefixtures("_urllib3")
def test_a_download_of_many_pieces_is_no_slow_one(storage, s3_server, monkeypatch):
    """Its pace is judged again and again, and chunks are as large as ever."""
    monkeypatch.setattr(s3, "SLOW_AFTER_S", 0.0)
    body = os.urandom(2 * CHUNK + 7)
    s3_server.put("bucket", "key", body)
    chunks = list(storage.read("s3://bucket/key"))
    assert b"".join(chunks) == body
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 7]


def test_bytes_that_are_not_those_of_the_etag_are_an_error(storage, s3_server):
    """As many bytes as promised, but others."""
    s3_server.put("bucket", "key", b"0123456789")
    other = {"ETag": '"' + hashlib.md5(b"x", usedforsecurity=False).hexdigest() + '"'}
    s3_server.proxy.faults.append(S3Fault(key="/key", method="GET", changed=other))
    with pytest.raises(SourceError, match="damaged on its way"):
        _read(storage, "s3://bucket/key")


def test_an_etag_that_is_no_digest_is_not_held_against_the_bytes(storage, s3_server):
    """Of an encrypted object it is something else."""
    s3_server.put("bucket", "key", b"0123456789")
    other = {"ETag": f'"{"0" * 32}"', "x-amz-server-side-encryption": "aws:kms"}
    s3_server.proxy.faults.append(S3Fault(key="/key", method="GET", changed=other))
    assert _read(storage, "s3://bucket/key") == b"0123456789"


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_listing_that_is_throttled_on_any_page_is_whole(storage, s3_server, monkeypatch, page):
    """S3's way to say so; nothing is lost or doubled."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    for name in "abcde":
        s3_server.put("bucket", name, b"")
    s3_server.proxy.faults.append(
        S3Fault(key="/bucket", status=503, code="SlowDown", skip=page, times=1)
    )
    assert [file.name for file in storage.list_files("s3://bucket")] == list("abcde")


def test_a_missing_file_is_not_found(storage, s3_server):
    """404: reading, its head, its state."""
    _bucket(s3_server)
    for ask in (storage.read, storage.read_state, lambda uri: storage.read_head(uri, 10)):
        with pytest.raises(SourceNotFoundError, match="s3://bucket/key: not there"):
            ask("s3://bucket/key")


def test_a_deleted_version_is_not_found(storage, s3_server):
    """A delete marker under the named version id is as good as gone."""
    _version_bucket(s3_server)
    s3_server.put("bucket", "key", b"old")
    marker = s3_server.client.delete_object(Bucket="bucket", Key="key")["VersionId"]
    with pytest.raises(SourceNotFoundError):
        storage.read("s3://bucket/key", marker)


def test_a_missing_bucket_is_not_found(storage):
    """The message says that it is the bucket."""
    with pytest.raises(SourceNotFoundError, match="the bucket does not exist"):
        list(storage.list_files("s3://no-such-bucket/x"))


def test_a_denied_file_names_the_permissions(storage, s3_server):
    """A 403 may mean a missing file (no ListBucket) or a locked key (no Decrypt) as well."""
    s3_server.put("bucket", "key", b"content")
    s3_server.proxy.fail("/key", 403, "AccessDenied")
    for ask in (storage.read, storage.read_state, lambda uri: storage.read_head(uri, 10)):
        with pytest.raises(SourceError, match=r"s3:GetObject.*s3:ListBucket.*kms:Decrypt") as info:
            ask("s3://bucket/key")
        assert not isinstance(info.value, SourceNotFoundError)


def test_a_denied_listing_names_its_permission(storage, s3_server):
    """Listing a prefix needs another permission than reading."""
    s3_server.put("bucket", "p/key", b"content")
    s3_server.proxy.fail("/bucket", 403, "AccessDenied")
    with pytest.raises(SourceError, match="access denied; this needs s3:ListBucket"):
        list(storage.list_files("s3://bucket/p"))


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "ExpiredToken", "have expired; renew them"),
        (403, "InvalidAccessKeyId", "does not accept the credentials; check AWS_PROFILE"),
        (403, "SignatureDoesNotMatch", "does not accept the credentials"),
        (403, "RequestTimeTooSkewed", "clock; set its time"),
        (400, "KMS.DisabledException", "KMS.DisabledException: on demand"),
        (403, "AccessDenied", "kms:Decrypt"),
        (400, "AuthorizationHeaderMalformed", "another region; name it with --region"),
        (404, "NoSuchKey", "not there"),
        (503, "SlowDown", "keeps throttling"),
        (403, "InvalidObjectState", "restore the object in S3 first"),
        (418, "Teapot", "AWS refuses: Teapot: on demand"),
    ],
)
def test_a_refusal_says_what_to_do_next(storage, s3_server, monkeypatch, status, code, advice):
    """Each in one line, by the code that S3 gives; also where a HEAD hides the code."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3_server.put("bucket", "key", b"content")
    s3_server.proxy.fail("/key", status, code)
    for ask in (storage.read, storage.read_state):
        with pytest.raises(SourceError, match=advice) as info:
            ask("s3://bucket/key")
        assert "\n" not in str(info.value)


def test_a_passing_server_error_is_tried_again(storage, s3_server):
    """One 500 is no reason to fail."""
    s3_server.put("bucket", "key", b"content")
    s3_server.proxy.fail("/key", 500, "InternalError", times=1)
    assert _read(storage, "s3://bucket/key") == b"content"


def test_a_lasting_server_error_says_so(storage, s3_server, monkeypatch):
    """AWS_MAX_ATTEMPTS counts, as everywhere."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3_server.put("bucket", "key", b"content")
    s3_server.proxy.fail("/key", 500, "InternalError")
    with pytest.raises(SourceError, match="an error of its own; run the command again later"):
        storage.read("s3://bucket/key")
    assert len(s3_server.proxy.requests_for("/key")) == 2


def test_without_credentials_the_message_says_how_to_get_some(storage, monkeypatch):
    """No key, no profile, no machine role."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match=r"no AWS credentials; set AWS_PROFILE or run"):
        storage.read("s3://bucket/key")


def test_an_unknown_profile_is_named(s3_server):
    """--profile with a name that no AWS configuration has."""
    storage = S3Storage(AwsClients(AwsOptions(profile="nobody")))
    with pytest.raises(SourceError, match=r"config profile \(nobody\) could not be found"):
        storage.read("s3://bucket/key")


def test_an_unreachable_endpoint_is_named_without_its_password(s3_server, monkeypatch):
    """The host is told, a user and password in the URL are not."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://user:hunter2@127.0.0.1:9")
    storage = S3Storage(AwsClients(AwsOptions()))
    with pytest.raises(SourceError, match=r"127.0.0.1:9 cannot be reached") as info:
        storage.read("s3://bucket/key")
    assert "hunter2" not in str(info.value)


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_MAX_ATTEMPTS", "many"), ("AWS_ENDPOINT_URL_S3", "nonsense")]
)
def test_a_setting_that_is_not_valid_is_one_line(s3_server, monkeypatch, name, value):
    """A typo in the environment is no traceback."""
    monkeypatch.setenv(name, value)
    storage = S3Storage(AwsClients(AwsOptions()))
    with pytest.raises(SourceError):
        storage.read("s3://bucket/key")


def test_a_bucket_name_that_cannot_exist_is_one_line(storage):
    """Botocore's own check of parameters is translated too."""
    with pytest.raises(SourceError, match=r"AWS cannot be asked: .*Invalid bucket name") as info:
        storage.read("s3://not a bucket/key")
    assert "\n" not in str(info.value)


def test_a_bucket_in_another_region_is_asked_there(storage, s3_server):
    """S3 says where the bucket is, and the request is signed again for that region."""
    s3_server.put("bucket", "key", b"content")
    s3_server.proxy.fail(
        "/key", 301, "PermanentRedirect", times=1, x_amz_bucket_region="eu-central-1"
    )
    assert _read(storage, "s3://bucket/key") == b"content"
    assert "/eu-central-1/s3/" in s3_server.proxy.authorizations[-1]


def test_s3_needs_no_region(s3_server, monkeypatch):
    """A bucket is found without one."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    s3_server.put("bucket", "key", b"content")
    assert _read(S3Storage(AwsClients(AwsOptions())), "s3://bucket/key") == b"content"


def test_threads_share_one_client(storage, s3_server):
    """However many read at once."""
    s3_server.put("bucket", "key", b"content")
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: id(storage.clients.s3), range(32)))
        bodies = set(pool.map(lambda _: _read(storage, "s3://bucket/key"), range(32)))
    assert (len(clients), bodies) == (1, {b"content"})


def test_a_storage_travels_to_another_process(storage, s3_server):
    """A pickled storage makes its own client."""
    s3_server.put("bucket", "key", b"content")
    _read(storage, "s3://bucket/key")
    assert _read(pickle.loads(pickle.dumps(storage)), "s3://bucket/key") == b"content"  # noqa: S301 (our own bytes)


def _bucket(s3_server):
    s3_server.put("bucket", "other", b"")
    s3_server.client.delete_object(Bucket="bucket", Key="other")
    return "bucket"


def _version_bucket(s3_server):
    s3_server.client.put_bucket_versioning(
        Bucket=_bucket(s3_server), VersioningConfiguration={"Status": "Enabled"}
    )

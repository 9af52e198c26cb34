"""How a notebook finds and reads saved evaluations: in a folder, or with boto3 in S3."""

import json
from pathlib import Path


class Folder:
    """Saved evaluations on this machine, in the layout of `mlrek archive`."""

    def __init__(self, place):
        self.root = Path(place)

    def list_versions(self):
        """The folders of the versions."""
        return sorted(str(p.parent) for p in self.root.glob("versions/*/version.json"))

    def find(self, version, name):
        """The file of a version whose name begins so."""
        return next(Path(version).glob(f"{name}*"))

    def read_json(self, file):
        """A small document."""
        return json.loads(file.read_text())

    def read_lines(self, file):
        """The lines of a large file, one by one."""
        with file.open("rb") as opened:
            yield from opened


class Bucket:
    """The same in S3."""

    def __init__(self, place):
        import boto3

        self.s3 = boto3.client("s3")
        self.bucket, _, self.prefix = place.removeprefix("s3://").partition("/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        self.keys = [item["Key"] for page in pages for item in page["Contents"]]

    def list_versions(self):
        """The prefixes of the versions."""
        keys = [key for key in self.keys if key.endswith("/version.json")]
        return sorted(key.rpartition("/")[0] for key in keys)

    def find(self, version, name):
        """The key of a version's file whose name begins so."""
        return next(key for key in self.keys if key.startswith(f"{version}/{name}"))

    def read_json(self, key):
        """A small document."""
        return json.loads(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def read_lines(self, key):
        """The lines of a large file: it is downloaded, then split."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().splitlines()


def open_place(place):
    """A folder or `s3://bucket/prefix`."""
    return Bucket(place) if place.startswith("s3://") else Folder(place)

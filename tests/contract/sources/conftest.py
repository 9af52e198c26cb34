"""A published project: descriptions in the Rekognition server, files in S3."""

from dataclasses import dataclass, field

import pytest
from fakes.evaluations import PROJECT_ARN, describe, make_files, version_arn

from mlrek.sources import open_source


@dataclass
class Publisher:
    """Publishes versions of one project as the service does; `files` holds what is in S3."""

    s3: object
    rekognition: object
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def publish(self, *descriptions: dict, project_arn: str = PROJECT_ARN) -> str:
        """Describe the versions and put the files that they name; the project's ARN comes back."""
        self.rekognition.add_project(project_arn, descriptions)
        for description in descriptions:
            for (bucket, key), content in make_files(description).items():
                self.files[bucket, key] = content
                self.s3.put(bucket, key, content)
        return project_arn

    def delete(self, fragment: str) -> None:
        """Delete every object whose key holds `fragment`."""
        for bucket, key in [place for place in self.files if fragment in place[1]]:
            self.s3.client.delete_object(Bucket=bucket, Key=key)
            del self.files[bucket, key]


@pytest.fixture
def publisher(s3_server, rekognition_server):
    """Nothing published yet."""
    return Publisher(s3_server, rekognition_server)


@pytest.fixture
def pets(publisher):
    """The ARN of a published project with the versions v1 and v2."""
    return publisher.publish(
        describe(version_arn("v1", 1690556751958)), describe(version_arn("v2", 1690643151958))
    )


@pytest.fixture(params=["disk", "s3"])
def save(request, tmp_path):
    """Save files by path, on disk or in S3, and open them as a source."""
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")

        def save_in_s3(files, place=""):
            for path, content in files.items():
                server.put("saved", f"some/prefix/{path}", content)
            return open_source("/".join(["s3://saved/some/prefix", *filter(None, [place])]))

        return save_in_s3

    def save_on_disk(files, place=""):
        for path, content in files.items():
            file = tmp_path / "prefix" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return open_source(str(tmp_path / "prefix" / place))

    return save_on_disk

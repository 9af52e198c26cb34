"""An AWS for tests: S3 (moto, behind a proxy with faults) and Rekognition, both over real HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.request import Request, urlopen

import boto3
from fakes.rekognition_server import RekognitionServer
from fakes.s3_proxy import S3Proxy
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-must-not-be-seen",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
}


@dataclass
class S3Server:
    """S3: `proxy` has the faults and the log of requests, `client` goes past it."""

    proxy: S3Proxy
    client: object
    moto_url: str
    buckets: set[str] = field(default_factory=set)

    @property
    def env(self) -> dict[str, str]:
        """The environment that leads a command here."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL_S3": self.proxy.url}

    def put(self, bucket: str, key: str, body: bytes, **extra: object) -> dict:
        """Put an object; the bucket is made when it is not there."""
        if bucket not in self.buckets:
            self.client.create_bucket(Bucket=bucket)
            self.buckets.add(bucket)
        return self.client.put_object(Bucket=bucket, Key=key, Body=body, **extra)

    def reset(self) -> None:
        """Forget all objects, faults and requests."""
        self.proxy.reset()
        self.buckets.clear()
        with urlopen(Request(f"{self.moto_url}/moto-api/reset", method="POST")) as answer:
            answer.read()


@contextmanager
def serve_s3() -> Iterator[S3Server]:
    """Start moto and the proxy on free ports."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    proxy = S3Proxy(f"http://{host}:{port}")
    proxy.start()
    client = boto3.client(
        "s3",
        endpoint_url=proxy.target,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 (moto takes any)
    )
    try:
        yield S3Server(proxy=proxy, client=client, moto_url=proxy.target)
    finally:
        client.close()
        proxy.stop()
        moto.stop()


@contextmanager
def serve_rekognition() -> Iterator[RekognitionServer]:
    """Start the Rekognition server on a free port."""
    server = RekognitionServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()

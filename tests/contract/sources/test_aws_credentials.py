"""Credentials: asked for once, and one line that names them where they cannot be had."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import clean_env

from mlrek.errors import SourceError
from mlrek.sources import aws as aws_credentials
from mlrek.sources.aws import AwsClients, AwsOptions

CONFIG = Path(__file__).parents[2] / "data" / "cases" / "aws-credential-files" / "config"
PROJECT = "arn:aws:rekognition:eu-west-1:111122223333:project/x/1690474772815"
ROLE = {"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x", "AWS_EC2_METADATA_DISABLED": "true"}
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"}
CONTAINER |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1"}
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
WRONG = {
    "no helper": ({"AWS_CONFIG_FILE": str(CONFIG), "AWS_PROFILE": "vault"}, "/nope/vault: no such"),
    "no token": (
        {**ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/nope"},
        "/nope: no such file or directory (AWS_WEB_IDENTITY_TOKEN_FILE)",
    ),
    "a folder": ({**ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": "/usr"}, "/usr: is a directory (AWS_WEB"),
    "no container token": (
        {**CONTAINER, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nope"},
        "/nope: no such file or directory (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)",
    ),
    "no container": (CONTAINER, "credentials cannot be fetched: "),
    "line break": ({**KEYS, "AWS_ACCESS_KEY_ID": "AKID\n"}, "the AWS access key has a line break"),
    "blank": ({**KEYS, "AWS_SESSION_TOKEN": "x "}, "the AWS session token has a line break or an"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_credentials_that_cannot_be_had_fail_their_source_alone(
    run_mlrek, digits, new_store, wrong
):
    """One line that names them; the other source is logged, and --json is a document."""
    env, said = WRONG[wrong]
    env = NO_KEYS | env
    done = run_mlrek("versions", PROJECT, env=env, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert said in done.stderr
    args = ["sync", PROJECT, digits, "--dry-run", "--tracking-uri", new_store, "--json"]
    done = run_mlrek(*args, env=env, check=False)
    assert done.returncode == 1
    actions = [one["action"] for one in json.loads(done.stdout)["versions"]]
    assert sorted(set(actions)) == ["created", "failed"]
    assert actions.count("failed") == 1


def test_a_helper_that_prints_no_json_is_named(tmp_path, run_mlrek):
    """Today's JSON error says nothing of credentials."""
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {shutil.which('echo')} hello\n")
    env = NO_KEYS | {"AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "true"}
    done = run_mlrek("versions", PROJECT, env=env, check=False)
    assert done.returncode == 1
    assert "credential_process printed no JSON" in done.stderr


@pytest.fixture
def mfa(s3_server, monkeypatch):
    """A profile that assumes a role with MFA, against a fake STS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(CONFIG))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_server.moto_url)
    return AwsOptions(profile="mfa")


def test_a_code_is_asked_for_once_a_command(mfa, monkeypatch):
    """Whatever clients of whatever sources need it, and the processes that read."""
    asked = []
    monkeypatch.setattr(aws_credentials, "getpass", lambda prompt: asked.append(prompt) or "123456")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for _ in range(3):
        clients = AwsClients(mfa)
        assert clients.s3
        assert clients.rekognition
    assert len(asked) == 1
    credentials = aws_credentials.hand_over()["mfa"]
    assert credentials.token
    monkeypatch.setattr(aws_credentials, "_sessions", {})  # as in another process
    monkeypatch.setattr(aws_credentials, "_handed_over", {"mfa": credentials})
    assert AwsClients(mfa).s3
    assert len(asked) == 1


def test_a_code_that_nobody_can_type_is_one_line(tmp_path):
    """In CI there is no terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "mlrek", "versions", PROJECT, "--profile", "mfa"],
        env=clean_env() | {"AWS_CONFIG_FILE": str(CONFIG)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "asks for the code of an MFA device, and nobody is at a terminal" in done.stderr


@pytest.mark.parametrize(
    ("option", "env", "region"),
    [
        ("eu-west-1", {"AWS_REGION": "eu-west-2"}, "eu-west-1"),
        ("", {"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-2"),
        ("", {"AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-3"),
    ],
)
def test_the_region_comes_from_where_people_set_it(monkeypatch, option, env, region):
    """`--region` before AWS_REGION before AWS_DEFAULT_REGION."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (KEYS | env).items():
        monkeypatch.setenv(name, value)
    assert AwsClients(AwsOptions(region=option)).s3.meta.region_name == region


def test_a_profile_that_is_not_there_is_named(monkeypatch):
    """As ever."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(CONFIG))
    with pytest.raises(SourceError, match="list-profiles"):
        assert AwsClients(AwsOptions(profile="nobody")).s3

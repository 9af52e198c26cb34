"""The files of a run on their way to where MLflow keeps them, and how it names its pictures."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from mlrek.tracking.description import PICTURE_KEY
from mlrek.tracking.view import PictureLayout, find_layout, temporary_folder

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

AT_ONCE: Final = 4
"""Files that are sent at once, of all runs of a store: MLflow keeps ten connections."""


class ArtifactSender:
    """Sends the files of runs. Safe to use from several threads."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._is_served = tracking_uri.startswith("http")  # has time while it waits for answers
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mlrek-files")

    @contextlib.contextmanager
    def send(self, place: str, files: Mapping[str, bytes]) -> Iterator[None]:
        """Send files while the block does something else; after the block they are all there.

        Where one fails, or the block does, those that are not begun are left out, and nothing is
        under way any more.

        Args:
            place: The address of the run's artifacts.
            files: Their content by path.
        """
        repository = self._open(place)
        if (target := _find_folder(repository)) is not None:
            yield
            _write_files(target, files)
            return
        with temporary_folder() as folder:
            _write_files(folder, files)
            tasks = _list_tasks(repository, folder, files)
            if not self._is_served:
                yield
                for task in tasks:
                    task()
                return
            sent = [self._threads.submit(task) for task in tasks]
            try:
                yield
                for one in wait(sent, return_when=FIRST_EXCEPTION).done:
                    one.result()
            finally:
                for one in sent:
                    one.cancel()
                wait(sent)

    def _open(self, place: str) -> "ArtifactRepository":
        """As MLflow's client does, which would ask for the run's place first."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

        uri = add_databricks_profile_info_to_artifact_uri(place, self._tracking_uri)  # type: ignore[no-untyped-call]
        return get_artifact_repository(uri, tracking_uri=self._tracking_uri)


@cache
def ask_layout(tracking_uri: str) -> PictureLayout:
    """How the MLflow that is installed names pictures: its `log_image` is let name one.

    Nothing is logged. A call of it for each picture costs as much as all other files together.
    """
    import numpy as np
    from mlflow import MlflowClient

    paths: list[str] = []

    class Namer(MlflowClient):
        def log_artifact(self, _: str, local_path: str, artifact_path: str | None = None) -> None:
            paths.append(f"{artifact_path}/{Path(local_path).name}")

        def set_tag(self, *_: Any, **__: Any) -> None: ...

    pixel = np.zeros((1, 1, 3), np.uint8)
    Namer(tracking_uri).log_image("", pixel, key=PICTURE_KEY, step=0, synchronous=True)
    return find_layout(paths)


def _find_folder(repository: "ArtifactRepository") -> Path | None:
    """The folder of this machine that MLflow would copy files to, None where they are sent."""
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    if type(repository) is LocalArtifactRepository:  # a plug-in's may do more
        return Path(repository.artifact_dir)
    return None


def _list_tasks(
    repository: "ArtifactRepository", folder: Path, files: Mapping[str, bytes]
) -> list[Callable[[], object]]:
    """What sends the files of a folder: one task a file, where a server takes them.

    Clients of clouds are not all made for several threads: there one task sends them all.
    """
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    if not isinstance(repository, HttpArtifactRepository):
        return [partial(repository.log_artifacts, str(folder))]
    return [
        partial(repository.log_artifact, str(folder / path), _name_folder(path)) for path in files
    ]


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for parent in {(folder / path).parent for path in files}:
        parent.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)


def _name_folder(path: str) -> str | None:
    """The folder of a run's file, None where it is in none."""
    parent = str(PurePosixPath(path).parent)
    return None if parent == "." else parent

import dataclasses
import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from cnnsweep.datasets import download
from cnnsweep.datasets.download import DownloadFile, Progress, fetch_missing
from cnnsweep.errors import DataError

CONTENT = bytes(range(256)) * 4000  # 1 MB, several pieces


def fetch(download_file: DownloadFile, root: Path, progress: Progress) -> None:
    fetch_missing([download_file], root, progress)


def files_in(root: Path) -> list[str]:
    """Return every file below the root but the lock, which stays."""
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return [name for name in found if name != ".cnnsweep-download.lock"]


def silent(_what: str, _done: int, _total: int) -> None:
    pass


class Files(BaseHTTPRequestHandler):
    """Serves what the server's `files` hold; of a name in `cut_off` only the first half, then it hangs up."""

    def do_GET(self) -> None:
        content = self.server.files.get(self.path[1:])  # type: ignore[attr-defined]
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if self.path[1:] in self.server.cut_off else content)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    loopback = HTTPServer(("127.0.0.1", 0), Files)
    loopback.files, loopback.cut_off = {}, set()  # type: ignore[attr-defined]
    thread = threading.Thread(target=loopback.serve_forever, args=(0.01,))
    thread.start()
    yield loopback
    loopback.shutdown()
    thread.join()
    loopback.server_close()


def parcel_of(server: HTTPServer, name: str, content: bytes, contents: dict[str, str]) -> DownloadFile:
    server.files[name] = content  # type: ignore[attr-defined]
    return DownloadFile((url_of(server, name),), hashlib.md5(content).hexdigest(), contents)


def url_of(server: HTTPServer, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("gzip/values.gz", gzip.compress(CONTENT))
        bundle.writestr("gzip/other.gz", b"")
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("folder/values")
        entry.size = len(CONTENT)
        tar.addfile(entry, io.BytesIO(CONTENT))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "member"),
    [
        ("values.mat", CONTENT, ""),
        ("values.gz", gzip.compress(CONTENT), ""),
        ("bundle.zip", zipped(), "gzip/values.gz"),
        ("bundle.tar.gz", tarred(), "folder/values"),
    ],
)
def test_a_parcel_is_unpacked_and_nothing_else_is_left(
    server: HTTPServer, tmp_path: Path, name: str, content: bytes, member: str
) -> None:
    fetch(parcel_of(server, name, content, {"set/raw/values": member}), tmp_path / "root", silent)
    assert (tmp_path / "root/set/raw/values").read_bytes() == CONTENT
    assert files_in(tmp_path / "root") == ["set/raw/values"]
    assert {path.name for path in (tmp_path / "root").iterdir()} == {"set", ".cnnsweep-download.lock"}


def test_progress_counts_the_bytes(server: HTTPServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    download_file = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    fetch(download_file, tmp_path, lambda what, done, total: told.append((what, done, total)))
    assert {what for what, _, _ in told} == {"downloading values.mat"}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (len(CONTENT), len(CONTENT))


def test_an_interrupted_download_leaves_nothing_behind(server: HTTPServer, tmp_path: Path) -> None:
    download_file = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    server.cut_off.add("values.mat")  # type: ignore[attr-defined]
    with pytest.raises(DataError) as caught:
        fetch(download_file, tmp_path, silent)
    half = hashlib.md5(CONTENT[: len(CONTENT) // 2]).hexdigest()
    assert str(caught.value) == (
        f"{download_file.urls[0]}: interrupted or damaged: the MD5 is {half}, expected {download_file.md5}"
    )
    assert files_in(tmp_path) == []


def test_the_next_place_is_tried_and_all_failures_are_told(server: HTTPServer, tmp_path: Path) -> None:
    good = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    absent = url_of(server, "absent.mat")
    fetch(DownloadFile((absent, *good.urls), good.md5, good.contents), tmp_path, silent)
    assert (tmp_path / "values").read_bytes() == CONTENT
    (tmp_path / "values").unlink()
    with pytest.raises(DataError) as caught:
        fetch(DownloadFile((absent, absent), good.md5, good.contents), tmp_path, silent)
    assert str(caught.value) == f"{absent}: Not Found; {absent}: Not Found"


def test_without_protection_there_is_no_second_choice(server: HTTPServer, tmp_path: Path) -> None:
    plain = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    protected = url_of(server, "values.mat").replace("http:", "https:")
    with pytest.raises(DataError, match=f"^{protected}: [^;]*$"):
        fetch(DownloadFile((protected, *plain.urls), plain.md5, plain.contents), tmp_path, silent)
    assert files_in(tmp_path) == []


def test_a_root_that_cannot_be_written_is_named(server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where a folder should be")
    download_file = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    with pytest.raises(DataError) as caught:
        fetch(download_file, tmp_path / "root", silent)
    assert str(caught.value) == f"{tmp_path / 'root'}: File exists; choose another --data-root"


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch(parcel_of(server, "values.mat", CONTENT, {"values": ""}), tmp_path, silent)
    assert files_in(tmp_path) == []


def test_only_files_that_are_missing_are_written(server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "own").write_bytes(b"a person's own")
    contents = {"own": "gzip/values.gz", "values": "gzip/values.gz"}
    fetch(parcel_of(server, "bundle.zip", zipped(), contents), tmp_path, silent)
    assert (tmp_path / "own").read_bytes() == b"a person's own"
    assert (tmp_path / "values").read_bytes() == CONTENT


def test_checksums_are_noted_beside_the_files_and_added_to_those_before(server: HTTPServer, tmp_path: Path) -> None:
    for name, content in (("one", CONTENT), ("two", b"two")):
        download_file = parcel_of(server, f"{name}.gz", gzip.compress(content), {f"raw/{name}": ""})
        fetch(dataclasses.replace(download_file, is_noted=True), tmp_path, silent)
    assert json.loads((tmp_path / "raw/.cnnsweep-sha256.json").read_text()) == {
        "sha256": {"one": hashlib.sha256(CONTENT).hexdigest(), "two": hashlib.sha256(b"two").hexdigest()}
    }


def test_more_bytes_than_any_data_set_has_are_refused(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_MOST_BYTES", len(CONTENT) - 1)
    with pytest.raises(DataError, match=r"values\.mat: sends more than 1,023,999 bytes"):
        fetch(parcel_of(server, "values.mat", CONTENT, {"values": ""}), tmp_path, silent)
    with pytest.raises(DataError, match=r"^values\.gz: holds more than 1,023,999 bytes"):
        fetch(parcel_of(server, "values.gz", gzip.compress(CONTENT), {"values": ""}), tmp_path, silent)
    assert "values" not in files_in(tmp_path)
    monkeypatch.undo()
    fetch(parcel_of(server, "values.gz", gzip.compress(CONTENT), {"values": ""}), tmp_path, silent)
    assert files_in(tmp_path) == ["values"]


def test_a_protected_place_that_leads_to_an_unprotected_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Response(io.BytesIO):
        url = "http://elsewhere/values"
        headers: ClassVar[dict[str, str]] = {}

    monkeypatch.setattr(download.urllib.request, "urlopen", lambda *_args, **_more: Response(CONTENT))
    with pytest.raises(OSError, match="redirects to http://elsewhere/values, which is not protected"):
        download._save("https://here/values", Path("/dev/null"), silent)


def test_a_lock_that_is_a_link_is_refused_and_what_it_points_to_keeps_its_content(tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ".cnnsweep-download.lock").symlink_to(victim)
    with pytest.raises(DataError, match="is a symbolic link, where a lock belongs"):
        fetch_missing([], tmp_path / "root", lambda *_: None)
    assert victim.read_text() == "mine"

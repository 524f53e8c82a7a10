import gzip
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cnnsweep.data import download
from cnnsweep.data.download import Parcel, fetch
from cnnsweep.errors import DataError

CONTENT = bytes(range(256)) * 4000  # 1 MB, several pieces


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


def parcel_of(server: HTTPServer, name: str, content: bytes, contents: dict[str, str]) -> Parcel:
    server.files[name] = content  # type: ignore[attr-defined]
    return Parcel((url_of(server, name),), hashlib.md5(content).hexdigest(), contents)


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
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == [tmp_path / "root/set/raw/values"]
    assert len(list((tmp_path / "root").iterdir())) == 1


def test_progress_counts_the_bytes(server: HTTPServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    parcel = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    fetch(parcel, tmp_path, lambda what, done, total: told.append((what, done, total)))
    assert {what for what, _, _ in told} == {"downloading values.mat"}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (len(CONTENT), len(CONTENT))


def test_an_interrupted_download_leaves_nothing_behind(server: HTTPServer, tmp_path: Path) -> None:
    parcel = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    server.cut_off.add("values.mat")  # type: ignore[attr-defined]
    with pytest.raises(DataError) as caught:
        fetch(parcel, tmp_path, silent)
    half = hashlib.md5(CONTENT[: len(CONTENT) // 2]).hexdigest()
    assert str(caught.value) == (f"{parcel.urls[0]}: interrupted or damaged: the MD5 is {half}, expected {parcel.md5}")
    assert list(tmp_path.iterdir()) == []


def test_the_next_place_is_tried_and_all_failures_are_told(server: HTTPServer, tmp_path: Path) -> None:
    good = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    absent = url_of(server, "absent.mat")
    fetch(Parcel((absent, *good.urls), good.md5, good.contents), tmp_path, silent)
    assert (tmp_path / "values").read_bytes() == CONTENT
    with pytest.raises(DataError) as caught:
        fetch(Parcel((absent, absent), good.md5, good.contents), tmp_path, silent)
    assert str(caught.value) == f"{absent}: Not Found; {absent}: Not Found"


def test_without_protection_there_is_no_second_choice(server: HTTPServer, tmp_path: Path) -> None:
    plain = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    protected = url_of(server, "values.mat").replace("http:", "https:")
    with pytest.raises(DataError, match=f"^{protected}: [^;]*$"):
        fetch(Parcel((protected, *plain.urls), plain.md5, plain.contents), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_written_is_named(server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where a folder should be")
    parcel = parcel_of(server, "values.mat", CONTENT, {"values": ""})
    with pytest.raises(DataError) as caught:
        fetch(parcel, tmp_path / "root", silent)
    assert str(caught.value) == f"{tmp_path / 'root'}: File exists; choose another --data-root"


def test_a_full_disk_is_told_and_leaves_nothing_behind(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: object, _target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with pytest.raises(DataError, match="No space left on device"):
        fetch(parcel_of(server, "values.mat", CONTENT, {"values": ""}), tmp_path, silent)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

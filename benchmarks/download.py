"""What a download costs, as ratios within one run: CPU to `shutil.copyfileobj(response.raw, file, 1 MiB)`, and memory.

    python benchmarks/download.py [ROUNDS [FOLDER]]

500 MiB over loopback, the server in another process, each download in a process of its own, in turns; the median of the
ratios is the figure. CPU is that of the download alone, without the imports; beside it curl as a whole process, where
it is installed. Memory is the peak of the process, less that of one that only imports requests, and what of it the
download added. FOLDER is where the
files are written (by default the system's folder for temporary files; one in memory shows the least noise). Goals: CPU
at most 1.05, memory at most 3 MiB.
"""

from __future__ import annotations

import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MIB = 1024 * 1024
SIZE = 500 * MIB
BLOCK = b"\0\0\0\x18ftypisom" + bytes(MIB - 12)
HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % SIZE


def serve() -> None:
    """Send the same file to everybody, until the parent goes away."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=send, args=(server.accept()[0],), daemon=True).start()


def send(peer: socket.socket) -> None:
    with peer:
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65536)
        peer.sendall(HEAD)
        for _ in range(SIZE // MIB):
            peer.sendall(BLOCK)


def copy(url: str, target: Path) -> None:
    import requests

    with requests.Session() as session:
        start, before = time.process_time(), peak()
        with (
            session.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as answer,
            target.open("wb") as file,
        ):
            shutil.copyfileobj(answer.raw, file, MIB)
        print(time.process_time() - start, peak() - before)


def ours(url: str, target: Path) -> None:
    import vidpoll
    import vidpoll.downloads.save

    def never(*args: object) -> object:
        raise AssertionError("nothing is asked about this job")

    provider = vidpoll.Provider(
        "acme",
        base_url=url,
        auth=vidpoll.NoAuth(),
        pacing=vidpoll.Pacing(),
        status=vidpoll.Operation(never, never),  # type: ignore[arg-type]
    )

    class Acme:
        @vidpoll.hookimpl
        def vidpoll_providers(self) -> object:
            return [provider]

    job = vidpoll.Job("acme:1")
    job.receive(vidpoll.Snapshot(vidpoll.State.COMPLETED, assets=(vidpoll.Asset("/v.mp4"),)), 0.0)
    with vidpoll.Client(plugins=[Acme()], discover=False) as client:
        start, before = time.process_time(), peak()
        client.download(job, target, overwrite=True)
        print(time.process_time() - start, peak() - before)


def only_import(url: str, target: Path) -> None:
    import requests

    print(requests.__version__, 0)


def child(mode: str, url: str, target: Path) -> None:
    """One download in this process: prints its CPU seconds, what it added to the peak of memory, and that, in KiB."""
    {"copy": copy, "ours": ours, "import": only_import}[mode](url, target)
    print(peak())


def peak() -> int:
    """KiB of memory that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def run(mode: str, url: str, folder: Path) -> tuple[str, int, int]:
    target = folder / f"{mode}.mp4"
    said = subprocess.run(
        [sys.executable, __file__, "child", mode, url, str(target)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    if mode != "import" and target.stat().st_size != SIZE:
        raise SystemExit(f"{mode}: {target.stat().st_size} bytes of {SIZE}")
    target.unlink(missing_ok=True)
    return said[0], int(said[1]), int(said[2])


def curl(url: str, folder: Path) -> float:
    """CPU seconds of a whole curl."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["curl", "-s", "-o", str(folder / "curl.mp4"), f"{url}/v.mp4"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (folder / "curl.mp4").unlink()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int, place: str | None) -> None:
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory(dir=place) as name:
            compare(f"http://127.0.0.1:{server.stdout.readline().strip()}", Path(name), rounds)
    finally:
        server.kill()
        server.communicate()


def compare(url: str, folder: Path, rounds: int) -> None:
    figures = [(run("copy", url, folder), run("ours", url, folder)) for _ in range(rounds)]
    ratios = sorted(float(mine[0]) / float(theirs[0]) for theirs, mine in figures)
    theirs = statistics.median(float(theirs[0]) for theirs, _ in figures)
    mine = statistics.median(float(mine[0]) for _, mine in figures)
    bare = statistics.median(run("import", url, folder)[2] for _ in range(3))
    print(f"CPU of 500 MiB: {theirs:.2f} s copyfileobj, {mine:.2f} s vidpoll ({rounds} rounds)")
    print(f"ratio: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}")
    for who, place in (("copyfileobj", 0), ("vidpoll", 1)):
        most = statistics.median(pair[place][2] for pair in figures)
        alone = statistics.median(pair[place][1] for pair in figures)
        print(
            f"peak memory of {who}: {(most - bare) / 1024:.1f} MiB over importing requests, "
            f"{alone / 1024:.1f} MiB of it by the download, not by imports"
        )
    if shutil.which("curl"):
        print(f"curl, its start included: {statistics.median(curl(url, folder) for _ in range(rounds)):.2f} s")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments == ["serve"]:
        serve()
    elif arguments[:1] == ["child"]:
        child(arguments[1], arguments[2], Path(arguments[3]))
    else:
        main(int(arguments[0]) if arguments else 7, arguments[1] if len(arguments) > 1 else None)

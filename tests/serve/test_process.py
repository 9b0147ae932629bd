"""The command: its port, the file that it serves, and its way out."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from snowball.deploy import serve
from snowball.deploy.serve import ServeSection, serve_run
from snowball.display import Display
from snowball.finding import BadInput
from snowball.run import Run

from .pictures import png


def test_a_port_in_use_is_one_clear_line(run: Run) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BadInput, match=r"already in use.*port=0 takes"),
    ):
        serve_run(run, ServeSection(port=taken.getsockname()[1]), Display(quiet=True))


def test_the_onnx_file_is_made_anew_for_other_weights(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    path, weights = run.path / "model.onnx", run.path / "model.safetensors"
    whole, kept = path.read_bytes(), weights.read_bytes()

    def export(run: Run, path: Path, display: Display) -> None:
        path.write_bytes(whole)
        made.append(path.name)

    def times_made() -> int:
        serve._current(run, 1, Display(quiet=True))
        return len(made)

    monkeypatch.setattr(serve, "export_run", export)
    assert times_made() == 0
    os.utime(path, (1, 1))
    assert times_made() == 0  # older than the weights, but of them: a copied folder
    weights.write_bytes(kept + b"x")
    assert times_made() == 1
    weights.write_bytes(kept)
    path.unlink()
    assert times_made() == 2


@pytest.mark.parametrize(("sent", "host"), [(signal.SIGTERM, "127.0.0.1"), (signal.SIGINT, "0.0.0.0")])
def test_the_command_serves_and_ends_quickly_with_0(sent: signal.Signals, host: str, run: Run) -> None:
    command = [sys.executable, "-m", "snowball", "serve", str(run.path), "port=0", f"host={host}", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "Ctrl+C" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            port = re.search(r"is served on http://[^:]+:(\d+)", said)
            token = re.search(r"Authorization: Bearer (\S{32})'", said)
            assert port is not None
            assert (token is not None) == (host == "0.0.0.0"), said
            headers = {"Authorization": f"Bearer {token[1]}"} if token else {}
            client = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", headers=headers, timeout=20)
            assert client.post("/predict", files={"image": png(0)}).status_code == 200
            idle, dripping = (socket.create_connection(("127.0.0.1", int(port[1]))) for _ in range(2))
            begun = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n"
            for name, value in headers.items():
                begun += f"{name}: {value}\r\n"
            dripping.sendall(f"{begun}\r\nx".encode())
            time.sleep(0.2)
            process.send_signal(sent)
            assert process.wait(10) == 0, "neither connection is waited for"
            assert process.stdout is not None
            assert json.loads(process.stdout.read())["run"] == str(run.path)
            assert "Traceback" not in process.stderr.read()
            assert dripping.recv(12) == b"HTTP/1.1 503"
            for connection in (idle, dripping, client):
                connection.close()
        finally:
            process.kill()

"""A SuperLink and SuperNodes on loopback: started with the how-to's commands, stopped without a trace."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

BIN = Path(sys.executable).parent
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "run-a-deployed-federation.md"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATIENCE = 600.0


def block(language: str) -> str:
    """Return the how-to's only block of a language."""
    (text,) = (body for kind, body in FENCE.findall(HOWTO.read_text("utf-8")) if kind == language)
    return str(text)


def documented(beginning: str) -> list[str]:
    """Return the how-to's commands that begin so, in its order, each on one line."""
    text = "".join(body for kind, body in FENCE.findall(HOWTO.read_text("utf-8")) if kind == "console")
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in (line.removeprefix("$ ") for line in lines) if line.startswith(beginning)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Deployment:
    """The machines of a federation, as folders: ``server`` and the sites, each with its own Flower home."""

    folder: Path
    port: int = field(default_factory=free_port)
    door: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def words(self, beginning: str, machine: str) -> list[str]:
        """Return the first such command of the how-to, with this deployment's names, addresses and paths."""
        text = documented(beginning)[0]
        for theirs, ours in (
            ("server.example.org:443", f"127.0.0.1:{self.door}"),
            ("--port 8000", f"--port {self.port}"),
            ("DIGEST", self.digest()),
            ("/data/", f"{self.folder / machine}/"),
            ("site-a", machine if machine != "server" else "site-a"),
        ):
            text = text.replace(theirs, ours)
        name, *rest = shlex.split(text)
        return [str(BIN / name), *rest]

    def digest(self) -> str:
        """Return the digest that the app's README states, or nothing before there is one."""
        readme = self.folder / "server" / "app" / "README.md"
        return re.findall('settings="(.*?)"', readme.read_text())[0] if readme.exists() else ""

    def environment(self, machine: str) -> dict[str, str]:
        """Return what the how-to exports, with one thread each; a machine may have code of its own."""
        exported = dict(pair.split("=") for pair in documented("export ")[0].split()[1:])
        own = {"FLWR_HOME": str(self.folder / machine / "flwr"), "OMP_NUM_THREADS": "1"}
        own["FLWR_SUPEREXEC_TASK_POLL_INTERVAL"] = "1"
        # Flower starts its own commands by name.
        own["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(self.folder / machine / "code"), os.environ.get("PYTHONPATH")])
        )
        return os.environ | exported | own | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}

    def start(self, machine: str, words: list[str], *, name: str = "") -> subprocess.Popen[bytes]:
        """Start a command in a machine's folder; what it prints goes to a file, as a child may outlive it."""
        with self.log(name or machine).open("wb") as log:
            process = subprocess.Popen(
                words,
                cwd=self.folder / machine,
                env=self.environment(machine),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes[name or machine] = process
        return process

    def call(self, machine: str, words: list[str], *, timeout: float = PATIENCE) -> str:
        """Run a command to its end and return what it printed; fail with all logs if it fails."""
        name = f"{machine} {' '.join(words[:3])}".replace("/", "_")
        process = self.start(machine, words, name=name)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.fail(f"{shlex.join(words)} did not end within {timeout:g} s")
        if code:
            self.fail(f"{shlex.join(words)} ended with {code}")
        return self.log(name).read_text()

    def superlink(self) -> None:
        """Start the SuperLink, and wait until it listens."""
        self.start("server", self.words("flower-superlink", "server"))
        self.wait("the SuperLink listens", lambda: listens(self.port), "server")

    def supernode(
        self, machine: str, *, ca: str = "ca.crt", key: bool = True, agreed: str = "", config: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a site's SuperNode; its own port must differ on one machine.

        ``agreed`` is the digest of the settings that the site agreed to; by default those of the app.
        ``config`` takes the place of the how-to's configuration of the node, for an app of others.
        """
        words = [*self.words("flower-supernode", machine), "--port", str(free_port())]
        at = words.index("--node-config") + 1
        words[at] = config or words[at]
        if agreed:
            words[at] = words[at].replace(self.digest(), agreed)
        words[words.index("ca.crt")] = ca
        if not key:
            at = words.index("--auth-supernode-private-key")
            del words[at : at + 2]
        return self.start(machine, words)

    def online(self) -> int:
        """Return how many SuperNodes the SuperLink says are online."""
        answer = self.call("server", [*self.words("flwr supernode list", "server"), "--format", "json"])
        return sum(node["status"] == "online" for node in json.loads(answer)["nodes"])

    def wait(self, what: str, ready: Callable[[], bool], *needed: str, every: float = 0.1) -> None:
        """Wait until something holds; fail with all logs if it takes too long or a needed process ends."""
        end = time.monotonic() + PATIENCE
        while not ready():
            # A process that has ended is there until it is asked for, and so long Flower's helpers live on.
            ended = {name for name, process in self.processes.items() if process.poll() is not None}
            if time.monotonic() > end or ended & {*needed}:
                self.fail(f"in vain waited until {what}; ended: {sorted(ended)}")
            time.sleep(every)

    def log(self, name: str) -> Path:
        """Return where a process's output is."""
        return self.folder / f"{name}.log"

    def fail(self, message: str) -> None:
        """Fail, with the end of every process's output."""
        ends = (f"----- {name}\n{self.log(name).read_text()[-4000:]}" for name in self.processes)
        raise AssertionError("\n".join([message, *ends]))

    def stop(self) -> None:
        """Stop every process by its id, and Flower's helpers, which outlive those that started them."""
        family = descendants({process.pid for process in self.processes.values()})
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Most helpers end once they see that their parent is gone; one may hang on the way.
        end = time.monotonic() + 10
        while (left := family & running()) and time.monotonic() < end:
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def deployment(folder: Path) -> Iterator[Deployment]:
    """Yield a deployment with its certificates and connection in place, and stop all of it at the end."""
    made = Deployment(folder)
    home = folder / "server" / "flwr"
    home.mkdir(parents=True)
    write_certificates(folder / "server")
    connection = block("toml").replace("127.0.0.1:8000", f"127.0.0.1:{made.port}")
    (home / "config.toml").write_text(connection.replace("/data/", f"{folder / 'server'}/"))
    try:
        with proxy(folder / "server", made.door, made.port):
            yield made
    finally:
        made.stop()


@contextlib.contextmanager
def proxy(folder: Path, door: int, port: int) -> Iterator[None]:
    """Do what the how-to's nginx does, so that tests need none: pass what begins so, and refuse the rest."""
    place = re.compile(r"location (/\S+) \{\s+proxy_pass https://127.0.0.1:8000(/\S+);")
    ((passed, target),) = place.findall(block("nginx"))
    assert passed == target
    assert re.search(r"location / \{\s+return 403;", block("nginx"))
    trusted = ssl.create_default_context(cafile=str(folder / "ca.crt"))

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not self.path.startswith(passed) or ".." in self.path or "%" in self.path:
                self.answer(403, {}, b"")
                return
            link = HTTPSConnection("127.0.0.1", port, context=trusted)
            try:
                link.request(self.command, self.path, body, dict(self.headers))
                found = link.getresponse()
                self.answer(found.status, dict(found.getheaders()), found.read())
            except OSError:
                self.answer(502, {}, b"")
            finally:
                link.close()

        def answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(code)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = pass_on

        def log_message(self, *said: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", door), Passing) as server:
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield
        server.shutdown()


def write_certificates(folder: Path) -> None:
    """Write the files that the how-to's openssl makes: an authority's, and a server's for loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    root = certificate("our federation", authority, "our federation", authority, ())
    leaf = certificate("localhost", server, "our federation", authority, names)
    (folder / "ca.crt").write_bytes(root)
    (folder / "server.crt").write_bytes(leaf)
    (folder / "server.key").write_bytes(
        server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName] | tuple[()],
) -> bytes:
    """Return a certificate that is valid today; without names it is an authority's."""
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    usage = [not names, bool(names)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=usage[0], path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(usage[1], False, False, False, False, usage[0], False, False, False), critical=True
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def write_key(folder: Path, name: str) -> None:
    """Write the pair of files that the how-to's ssh-keygen makes."""
    key = ec.generate_private_key(ec.SECP384R1())
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    )
    (folder / f"{name}.key.pub").write_bytes(
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + f" {name}\n".encode()
    )


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def running() -> set[int]:
    """Return the ids of all processes that have not ended."""
    return {pid for pid, _ in _table()}


def descendants(pids: set[int]) -> set[int]:
    """Return the processes that name one of these, or one of theirs, as the parent that they watch."""
    parents = [(pid, re.search(r"--parent-pid (\d+)", line)) for pid, line in _table()]
    found: set[int] = set()
    while new := {p for p, watched in parents if watched and int(watched[1]) in pids | found} - found:
        found |= new
    return found


def _table() -> list[tuple[int, str]]:
    # Without -ww, ps cuts lines at the width that COLUMNS says.
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(maxsplit=2) for line in listing.stdout.splitlines())
    return [(int(pid), " ".join(line)) for pid, state, *line in rows if not state.startswith("Z")]

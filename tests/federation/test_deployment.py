"""A federation over TLS on loopback: a whole transcript, liars left out, a greedy server refused."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from http.client import HTTPSConnection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from memberscan.cohort import Cohort
from memberscan.federation.deploy import site_roles
from memberscan.runs.transcript import Transcript

from .deployment import Deployment, deployment, documented, write_certificates, write_key

SUBJECTS = {"site-a": 30, "site-b": 20, "site-f": 20, "site-g": 20}
MEMBERS = {"site-a": 24, "site-b": 16}
SITES = tuple(MEMBERS)
LIAR, GUARDED = "site-f", "site-g"
REFUSED = "failed (RefusedError)"
"""What the record says of a site that the server asked for too much."""
LIE = """
# Whoever owns a machine can change what runs on it: this site's weights are huge, and so are its counts.
from memberscan.federation import client
from memberscan.federation.records import FACTS

honest, protect = client.train, client._protected

def lie(content, site):
    answer = honest(content, site)
    if content.config_records[FACTS]["round"] == 2:
        answer.config_records[FACTS]["samples"] = 10**15
    return answer

def spoilt(state, settings, site):
    return protect({k: v * 3e38 if k.startswith("hidden") else v for k, v in state.items()}, settings, site)

client.train, client._protected = lie, spoilt
"""
STRANGERS = {
    "site-c": "[code: 2004] Failed to activate SuperNode",
    "site-d": "[code: 2001] SuperNode authentication is enabled",
    "site-e": "CERTIFICATE_VERIFY_FAILED",
}


# One test, since the federation takes most of a minute and tests are shared out among processes.
@pytest.mark.deployment
def test_the_howto_runs_a_federation_and_turns_strangers_away(tmp_path: Path) -> None:
    with deployment(tmp_path) as made:
        prepare(made)
        # Asking the SuperLink takes a process; the sites' logs say when it is worth while.
        logs = [made.log(site) for site in SUBJECTS]
        made.wait("all sites connect", lambda: all("SuperNode ID" in log.read_text() for log in logs))
        made.wait("all sites are there", lambda: made.online() == len(SUBJECTS), every=3)
        run = made.start("server", made.words("flwr run", "server"), name="flwr run")
        made.supernode("site-c")
        made.supernode("site-d", key=False)
        made.supernode("site-e", ca="other.crt")
        made.wait("the run ended", lambda: run.poll() is not None, "server", *SITES)
        the_run_completed(made)
        the_transcript_is_whole(tmp_path / "server" / "run" / "rounds")
        the_guarded_site_said_why(made)
        no_name_of_a_subject_reached_the_server(tmp_path)
        for site, reason in STRANGERS.items():
            refused(made, site, "Exit Code: 305", reason)
        sites_reach_nothing_but_the_fleet(made)
        what_is_registered_outlives_a_restart(made)


def prepare(made: Deployment) -> None:
    """Follow the how-to up to the run.

    Site-c is not registered, site-e trusts another authority, site-f lies, site-g agreed to other settings.
    """
    folder = made.folder
    for site in (*SUBJECTS, *STRANGERS):
        (folder / site).mkdir()
        shutil.copy(folder / "server" / "ca.crt", folder / site)
        write_key(folder / site, site)
    write_certificates(folder / "site-e" / "other")
    shutil.copy(folder / "site-e" / "other" / "ca.crt", folder / "site-e" / "other.crt")
    for site, subjects in SUBJECTS.items():
        cohort = make_cohort(folder / site, site, subjects)
        if site == SITES[0]:
            made.call(site, made.words("memberscan federation site", site))
        else:
            # What the command does, without the seconds that a process takes to start.
            site_roles(folder / site / "roles.tsv", cohort, site, 0.2)
        shutil.copy(folder / site / f"{site}.key.pub", folder / "server")
    (folder / LIAR / "code").mkdir()
    (folder / LIAR / "code" / "sitecustomize.py").write_text(LIE)
    made.call("server", made.words("memberscan federation init", "server"))
    made.superlink()
    for site in SUBJECTS:
        register = made.words("flwr supernode register", "server")
        made.call("server", [word.replace("site-a", site) for word in register])
        made.supernode(site, agreed="other" if site == GUARDED else "")


def make_cohort(folder: Path, site: str, subjects: int) -> Cohort:
    rng = np.random.default_rng(subjects)
    measures = pd.DataFrame(rng.normal(size=(subjects, 5)), columns=[f"thickness {n}" for n in range(5)])
    ages = rng.uniform(45, 80, subjects).round(1)
    measures["thickness 0"] += ages / 10
    people = pd.DataFrame({"id": [f"{site} person {n}" for n in range(subjects)], "age": ages})
    people.join(measures).to_csv(folder / "table.csv", index=False)
    return Cohort.from_table(folder / "table.csv", folder / "cohort", subject="id", age="age")


def the_run_completed(made: Deployment) -> None:
    runs = json.loads(made.call("server", [*made.words("flwr list", "server"), "--format", "json"]))["runs"]
    if [run["status"] for run in runs] != ["finished:completed"]:
        made.fail(f"the runs are {runs}")


def the_transcript_is_whole(path: Path) -> None:
    transcript = Transcript.open(path)
    assert transcript.learners == (*SITES, LIAR)
    assert [entry.number for entry in transcript.rounds] == [1, 2]
    for entry in transcript.rounds:
        lie = "update of length" if entry.number == 1 else "held 16 when it introduced itself"
        assert lie in entry.left_out[LIAR]
        assert [reason for name, reason in entry.left_out.items() if name != LIAR] == [REFUSED]
        assert {site: part.samples for site, part in entry.took_part.items()} == MEMBERS
        files = {p.stem for p in (path / f"{entry.number:04d}").glob("*.safetensors")}
        assert files == {"global", *SITES}
        parts = [transcript.learner_model(entry.number, site) for site in SITES]
        for name, value in transcript.global_model(entry.number).items():
            mean = 0.6 * parts[0][name].double() + 0.4 * parts[1][name].double()
            torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-5)


def the_guarded_site_said_why(made: Deployment) -> None:
    if "this site agreed to" not in made.log(GUARDED).read_text():
        made.fail("the site that agreed to other settings does not say why it takes no part")
    if "site-a sends its models and moments in the clear" not in made.log("site-a").read_text():
        made.fail("a site does not say what protects it")


def sites_reach_nothing_but_the_fleet(made: Deployment) -> None:
    trusted = ssl.create_default_context(cafile=str(made.folder / "site-a" / "ca.crt"))
    for path in ("/v1/control/list-runs", "/v1/fleet/../control/list-runs", "/docs", "/v1/runtime/", "/"):
        link = HTTPSConnection("127.0.0.1", made.door, context=trusted)
        link.request("POST", path, b"")
        assert link.getresponse().status == 403
        link.close()
    # The SuperLink itself answers nobody beside this machine.
    words = made.words("flower-superlink", "server")
    assert words[words.index("--host") + 1] == "127.0.0.1"


def no_name_of_a_subject_reached_the_server(folder: Path) -> None:
    def holding(words: bytes, machine: str) -> list[str]:
        files = (p for p in (folder / machine).rglob("*") if p.is_file())
        return sorted(p.name for p in files if words in p.read_bytes())

    assert "roles.tsv" in holding(b"site-a person ", "site-a")
    assert "transcript.json" in holding(b"site-a", "server")
    assert holding(b"site-a person ", "server") == []


def refused(made: Deployment, name: str, *words: str) -> None:
    made.wait(f"{name} gave up", lambda: made.processes[name].poll() is not None)
    text = made.log(name).read_text()
    if made.processes[name].returncode != 1 or not all(word in text for word in words):
        made.fail(f"{name} does not end with 1 and {words}")


def what_is_registered_outlives_a_restart(made: Deployment) -> None:
    made.processes["server"].terminate()
    made.processes["server"].wait(30)
    made.superlink()
    made.wait("all sites are back", lambda: made.online() == len(SUBJECTS), every=3)


@pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("ssh-keygen"), reason="needs both")
def test_the_commands_that_make_certificates_and_keys_work(tmp_path: Path) -> None:
    for command in (*documented("openssl"), *documented("ssh-keygen")):
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("server.example.org", "localhost", "127.0.0.1"):
        shake_hands(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(server, client, "elsewhere.example.org")
    private = load_ssh_private_key((tmp_path / "site-a.key").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key() == load_ssh_public_key((tmp_path / "site-a.key.pub").read_bytes())


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raise unless a client that expects this name accepts the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        end = ends.pop(0)
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            ends.append(end)

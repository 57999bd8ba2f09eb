#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real clients against `mirrornic serve`: the steps of clients/scenario.json.

usage: clients_test.py CLIENT DIRECTORY

CLIENT is boto3, aws, js, go or r; what it needs is installed beneath DIRECTORY. MIRRORNIC names the command. Exit status
77: skipped, for the client cannot be had."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import environment
import service

CLIENTS = environment.CLIENTS
SCENARIO = CLIENTS / "scenario.json"


def command(client, directory):
    if client == "boto3":
        return [environment.python(directory / "python"), CLIENTS / "boto3_client.py"]
    if client == "aws":
        if not Path("/usr/bin/aws").exists():
            environment.skip("there is no /usr/bin/aws; the Debian package awscli has it")
        return [sys.executable, CLIENTS / "aws_client.py"]
    if client == "js":
        return environment.javascript(directory / "javascript")
    if client == "r":
        return [environment.program("Rscript", "r-base-core"), CLIENTS / "r/client.R"]
    return environment.go(directory / "go")


def run(client, directory, signed, tls=False):
    """The client's steps, over TLS those of its life cycle alone; gives what failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = json.loads(SCENARIO.read_text(encoding="utf-8"))["serve"]
        if signed:
            arguments += ["--credentials", service.write_credentials(folder / "keys.json")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environ.update(AWS_ACCESS_KEY_ID=service.KEY if signed else "any", AWS_REGION=service.REGION,
                       AWS_SECRET_ACCESS_KEY=service.SECRET if signed else "any",
                       AWS_DEFAULT_REGION=service.REGION, AWS_EC2_METADATA_DISABLED="true",
                       AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, NO_PROXY="127.0.0.1")
        groups = []
        if tls:
            certificate, key = service.make_certificate(folder)
            arguments += ["--tls-cert", certificate, "--tls-key", key]
            environ["AWS_CA_BUNDLE"] = str(certificate)
            groups = ["life cycle"]
        with service.Service(folder, CLIENTS / "config.json", *arguments) as served:
            print(f"--- {client}, {'signed' if signed else 'without credentials'}{', TLS' if tls else ''}", flush=True)
            steps = [] if client == "r" else [SCENARIO]  # R has a life cycle of its own, that of docs/r.md
            done = subprocess.run([*command(client, directory), *steps, served.url, *groups], env=environ)
            served.stop()
            if done.returncode == 77:
                sys.exit(77)
            if done.returncode == 0:
                return []
            print(served.log())
            return [f"{client}: exit status {done.returncode}"]


def main():
    client, directory = sys.argv[1], Path(sys.argv[2]).resolve()
    command(client, directory)
    faults = run(client, directory, True)
    if client == "boto3":
        faults += run(client, directory, False) + run(client, directory, True, tls=True)
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()

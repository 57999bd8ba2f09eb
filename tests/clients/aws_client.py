# SPDX-License-Identifier: Apache-2.0
"""usage: aws_client.py SCENARIO ENDPOINT [GROUP ...]; AWS names the command of the AWS CLI."""
import json
import os
import re
import subprocess
import sys

import scenario

AWS = os.environ.get("AWS", "/usr/bin/aws")


def main():
    file, endpoint, *groups = sys.argv[1:]

    def call(operation, parameters, _):
        command = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", operation).lower()
        done = subprocess.run([AWS, "ec2", command, "--endpoint-url", endpoint, "--output", "json", "--no-paginate",
                               "--cli-input-json", json.dumps(parameters)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return json.loads(done.stdout or "{}")
        error = re.search(r"An error occurred \((.*?)\) when calling the \w+ operation: (.*)", done.stderr)
        if not error:
            raise LookupError(done.stderr.strip() or f"exit status {done.returncode}")
        raise scenario.Failed(error[1], None, error[2])

    print(subprocess.run([AWS, "--version"], capture_output=True, text=True, check=True).stdout.strip())
    sys.exit(scenario.run("aws", call, file, groups))


if __name__ == "__main__":
    main()

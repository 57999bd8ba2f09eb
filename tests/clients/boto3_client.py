# SPDX-License-Identifier: Apache-2.0
"""usage: boto3_client.py SCENARIO ENDPOINT [GROUP ...]; keys and region come from the environment, as boto3 has it."""
import sys

import boto3
import botocore.config
import botocore.exceptions
import scenario
from botocore import xform_name


def main():
    file, endpoint, *groups = sys.argv[1:]
    clients = {
        validate: boto3.client("ec2", endpoint_url=endpoint, config=botocore.config.Config(
            parameter_validation=validate, retries={"total_max_attempts": 1}, read_timeout=30))
        for validate in (True, False)}

    def call(operation, parameters, validate):
        try:
            reply = getattr(clients[validate], xform_name(operation))(**parameters)
            metadata = reply.pop("ResponseMetadata")
        except botocore.exceptions.ClientError as error:
            reply, metadata = None, error.response["ResponseMetadata"]
            failure = scenario.Failed(error.response["Error"]["Code"], metadata["HTTPStatusCode"],
                                      error.response["Error"]["Message"])
        except botocore.exceptions.BotoCoreError as error:
            raise LookupError(f"what can be sent or read: {error}") from error
        headers = metadata["HTTPHeaders"]
        if "date" not in headers or headers.get("x-amzn-requestid") != metadata["RequestId"]:
            raise LookupError(f"Date, or the body's request id {metadata['RequestId']} in a header: {headers}")
        if reply is None:
            raise failure
        return reply

    print(f"boto3 {boto3.__version__}")
    sys.exit(scenario.run("boto3", call, file, groups))


if __name__ == "__main__":
    main()

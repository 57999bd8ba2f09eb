#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Terraform with its AWS provider against `mirrornic serve`: init, apply, plan, change, import, a deletion behind its
back, destroy, and the data sources of interfaces and VPCs. MIRRORNIC names the command.

The provider comes from the filesystem mirror of the file that TF_CLI_CONFIG_FILE names. Exit status 77: skipped, for
terraform or the provider is not on this machine; nothing is fetched."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import environment
import service

PROVIDER = "registry.terraform.io/hashicorp/aws"
SOURCE, SPARE, COLLECTOR, BALANCER = (f"eni-0{i:016x}" for i in range(1, 5))
VPC = "vpc-0a1b2c3d4e5f60718"
BALANCER_ARN = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/collectors/50dc6c495c0c9188"
CONFIGURATION = {
    "NetworkInterfaces": [
        {"NetworkInterfaceId": SOURCE, "MacAddress": "02:00:00:00:00:01", "PrivateIpAddress": "10.0.1.10", "VpcId": VPC,
         "SubnetId": "subnet-0a1", "Description": "web", "Status": "in-use", "SourceDestCheck": True,
         "InterfaceType": "interface", "PrivateDnsName": "ip-10-0-1-10.ec2.internal", "OwnerId": "111122223333",
         "AvailabilityZone": "us-east-1a", "Groups": [{"GroupId": "sg-0a1", "GroupName": "web"}],
         "Attachment": {"AttachmentId": "eni-attach-0a1", "DeviceIndex": 0, "InstanceId": "i-0a1", "Status": "attached",
                        "AttachTime": "2026-01-31T12:34:56+00:00", "DeleteOnTermination": True,
                        "InstanceOwnerId": "111122223333", "NetworkCardIndex": 0},
         "TagSet": [{"Key": "Name", "Value": "web"}]},
        {"NetworkInterfaceId": SPARE, "MacAddress": "02:00:00:00:00:02", "PrivateIpAddress": "10.0.1.11", "VpcId": VPC},
        {"NetworkInterfaceId": COLLECTOR, "MacAddress": "02:00:00:00:00:03", "PrivateIpAddress": "10.0.1.30",
         "VpcId": VPC},
        {"NetworkInterfaceId": BALANCER, "MacAddress": "02:00:00:00:00:04", "PrivateIpAddress": "10.0.1.31",
         "VpcId": VPC, "Description": "ELB net/collectors/50dc6c495c0c9188"}],
    "Vpcs": [
        {"VpcId": VPC, "CidrBlock": "10.0.0.0/16", "State": "available", "IsDefault": False, "OwnerId": "111122223333",
         "DhcpOptionsId": "dopt-0a1", "InstanceTenancy": "default",
         "CidrBlockAssociationSet": [{"AssociationId": "vpc-cidr-assoc-0a1", "CidrBlock": "10.0.0.0/16",
                                      "CidrBlockState": {"State": "associated"}}],
         "Tags": [{"Key": "Name", "Value": "main"}]},
        {"VpcId": "vpc-0b1", "CidrBlock": "10.9.0.0/16", "EnableDnsSupport": {"Value": False},
         "CidrBlockAssociationSet": [{"CidrBlock": "10.9.0.0/16", "CidrBlockState": {"State": "associated"}}]}],
    "RouteTables": [
        {"RouteTableId": "rtb-0a1", "VpcId": VPC, "OwnerId": "111122223333",
         "Associations": [{"Main": True, "RouteTableAssociationId": "rtbassoc-0a1", "RouteTableId": "rtb-0a1",
                           "AssociationState": {"State": "associated"}}],
         "Routes": [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "Origin": "CreateRouteTable",
                     "State": "active"}]}]}

BASE = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "any"
  secret_key                  = "any"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    ec2 = "URL"
  }
}
"""
RESOURCES = """
resource "aws_ec2_traffic_mirror_filter" "web" {
  description      = "FILTER_DESCRIPTION"
  network_services = ["amazon-dns"]
  tags = {
    Name = "web"
  }
}
resource "aws_ec2_traffic_mirror_filter_rule" "in" {
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.web.id
  description              = "TLS"
  traffic_direction        = "ingress"
  rule_number              = 1
  rule_action              = "accept"
  protocol                 = 6
  source_cidr_block        = "10.0.0.0/8"
  destination_cidr_block   = "10.0.0.0/8"
  destination_port_range {
    from_port = 443
    to_port   = RULE_PORT
  }
}
resource "aws_ec2_traffic_mirror_filter_rule" "out" {
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.web.id
  traffic_direction        = "egress"
  rule_number              = 1
  rule_action              = "accept"
  source_cidr_block        = "0.0.0.0/0"
  destination_cidr_block   = "0.0.0.0/0"
}
resource "aws_ec2_traffic_mirror_target" "one" {
  network_interface_id = "COLLECTOR"
}
resource "aws_ec2_traffic_mirror_target" "balancer" {
  network_load_balancer_arn = "BALANCER_ARN"
}
resource "aws_ec2_traffic_mirror_session" "web" {
  description              = "of web"
  network_interface_id     = "SOURCE"
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.web.id
  traffic_mirror_target_id = aws_ec2_traffic_mirror_target.TARGET.id
  session_number           = SESSION_NUMBER
  virtual_network_id       = 77
  PACKET_LENGTH
  tags = {
    Name = "web"
  }
}
"""
DATA = """
data "aws_vpc" "main" {
  id = "VPC"
}
data "aws_vpc" "named" {
  tags = {
    Name = "main"
  }
}
data "aws_vpc" "bare" {
  cidr_block = "10.9.0.0/16"
}
data "aws_vpcs" "all" {}
data "aws_network_interface" "web" {
  id = "SOURCE"
}
data "aws_network_interface" "of_instance" {
  filter {
    name   = "attachment.instance-id"
    values = ["i-0a1"]
  }
}
data "aws_network_interfaces" "in_vpc" {
  filter {
    name   = "vpc-id"
    values = ["VPC"]
  }
}
output "found" {
  value = {
    vpc       = data.aws_vpc.main
    named     = data.aws_vpc.named.id
    bare      = data.aws_vpc.bare
    vpcs      = data.aws_vpcs.all.ids
    interface = data.aws_network_interface.web
    instance  = data.aws_network_interface.of_instance.id
    listed    = data.aws_network_interfaces.in_vpc.ids
  }
}
"""
FIRST = {"FILTER_DESCRIPTION": "web", "RULE_PORT": "443", "TARGET": "one", "SESSION_NUMBER": "1", "PACKET_LENGTH": ""}
CHANGED = {"FILTER_DESCRIPTION": "web", "RULE_PORT": "444", "TARGET": "balancer", "SESSION_NUMBER": "2",
           "PACKET_LENGTH": "packet_length = 128"}
FIXED = {"COLLECTOR": COLLECTOR, "BALANCER_ARN": BALANCER_ARN, "SOURCE": SOURCE, "VPC": VPC}


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)


def cli_configuration():
    """The CLI configuration that names a mirror with the provider."""
    file = Path(os.environ.get("TF_CLI_CONFIG_FILE", ""))
    mirrors = re.findall(r'\bpath\s*=\s*"([^"]*)"', file.read_text(), re.MULTILINE) if file.is_file() else []
    if not any((Path(mirror) / PROVIDER).is_dir() for mirror in mirrors):
        skip(f"TF_CLI_CONFIG_FILE names no file with a filesystem_mirror of {PROVIDER}")
    return str(file)


class Terraform(unittest.TestCase):
    """S1 S7 what the AWS provider asks for is answered as it needs it."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        self.environ.update(TF_CLI_CONFIG_FILE=cli_configuration(), NO_PROXY="127.0.0.1",
                            CHECKPOINT_DISABLE="1", AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull,
                            AWS_SHARED_CREDENTIALS_FILE=os.devnull)
        config = self.folder / "config.json"
        config.write_text(json.dumps(CONFIGURATION))
        self.served = service.Service(self.folder, config)
        self.addCleanup(self.served.__exit__)
        self.work = self.folder / "work"
        self.work.mkdir()
        self.write("")
        self.run_terraform("init")

    def write(self, text, **words):
        text = BASE + text
        for word, value in {**FIXED, **words, "URL": self.served.url}.items():
            text = re.sub(rf"\b{word}\b", value, text)
        (self.work / "main.tf").write_text(text)

    def run_terraform(self, command, *arguments, status=0):
        done = subprocess.run(["terraform", command, *([] if command in ("show", "output", "state") else
                                                       ["-input=false", "-no-color"]), *arguments],
                              cwd=self.work, env=self.environ, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr + self.served.log())
        return done.stdout

    def expect_no_changes(self):
        self.assertIn("No changes.", self.run_terraform("plan", "-detailed-exitcode"))

    def ids(self):
        """Resource address to id."""
        state = json.loads(self.run_terraform("show", "-json"))
        return {r["address"]: r["values"]["id"] for r in state["values"]["root_module"]["resources"]}

    def test_life(self):
        """S1 S7 resources are made, read back unchanged, changed, imported, missed and destroyed."""
        self.write(RESOURCES, **FIRST)
        self.run_terraform("apply", "-auto-approve")
        self.expect_no_changes()

        self.write(RESOURCES, **CHANGED)
        self.run_terraform("plan", "-detailed-exitcode", status=2)
        before = self.ids()
        self.assertIn("0 added, 2 changed, 0 destroyed", self.run_terraform("apply", "-auto-approve"))
        self.assertEqual(self.ids(), before)
        self.expect_no_changes()
        session = self.served.ok("DescribeTrafficMirrorSessions").find("trafficMirrorSessionSet/item")
        self.assertEqual([session.findtext(name) for name in ("sessionNumber", "packetLength", "virtualNetworkId")],
                         ["2", "128", "77"])

        # A member that is taken away again, which the provider does with RemoveFields.
        self.write(RESOURCES, **{**CHANGED, "PACKET_LENGTH": ""})
        self.run_terraform("apply", "-auto-approve")
        self.expect_no_changes()

        # A plan of what exists already, imported into an empty state.
        (self.work / "terraform.tfstate").rename(self.work / "kept.tfstate")
        for address, name in before.items():
            self.run_terraform("import", address, f"{before['aws_ec2_traffic_mirror_filter.web']}:{name}"
                               if "filter_rule" in address else name)
        self.assertEqual(self.ids(), before)
        self.expect_no_changes()

        # Deleted behind its back: the plan shows it, and apply makes it anew.
        self.served.ok("DeleteTrafficMirrorSession",
                       TrafficMirrorSessionId=before["aws_ec2_traffic_mirror_session.web"])
        self.served.ok("DeleteTrafficMirrorFilterRule",
                       TrafficMirrorFilterRuleId=before["aws_ec2_traffic_mirror_filter_rule.out"])
        plan = self.run_terraform("plan", "-detailed-exitcode", status=2)
        self.assertIn("2 to add, 0 to change, 0 to destroy", plan)
        self.run_terraform("apply", "-auto-approve")
        self.expect_no_changes()

        self.assertIn("6 destroyed", self.run_terraform("destroy", "-auto-approve"))
        for action, name in (("Sessions", "Session"), ("Targets", "Target"), ("Filters", "Filter")):
            found = self.served.ok(f"DescribeTrafficMirror{action}")
            self.assertEqual(found.findall(f"trafficMirror{name}Set/item"), [])

    def test_data_sources(self):
        """S1 data sources find interfaces and VPCs as they were configured."""
        self.write(DATA)
        self.run_terraform("apply", "-auto-approve")
        found = json.loads(self.run_terraform("output", "-json"))["found"]["value"]
        vpc = found["vpc"]
        self.assertEqual((vpc["cidr_block"], vpc["dhcp_options_id"], vpc["main_route_table_id"]),
                         ("10.0.0.0/16", "dopt-0a1", "rtb-0a1"))
        self.assertEqual((vpc["enable_dns_support"], vpc["enable_dns_hostnames"], vpc["default"]), (True, False, False))
        self.assertEqual(vpc["cidr_block_associations"], [
            {"association_id": "vpc-cidr-assoc-0a1", "cidr_block": "10.0.0.0/16", "state": "associated"}])
        self.assertEqual(found["named"], VPC)
        self.assertEqual((found["bare"]["id"], found["bare"]["enable_dns_support"]), ("vpc-0b1", False))
        self.assertFalse(found["bare"]["main_route_table_id"])
        self.assertEqual(sorted(found["vpcs"]), sorted([VPC, "vpc-0b1"]))
        interface = found["interface"]
        self.assertEqual(interface["mac_address"], "02:00:00:00:00:01")
        self.assertEqual(interface["security_groups"], ["sg-0a1"])
        self.assertEqual(interface["attachment"][0]["instance_id"], "i-0a1")
        self.assertEqual(interface["private_dns_name"], "ip-10-0-1-10.ec2.internal")
        self.assertEqual(found["instance"], SOURCE)
        self.assertEqual(sorted(found["listed"]), [SOURCE, SPARE, COLLECTOR, BALANCER])


if __name__ == "__main__":
    if not shutil.which("terraform"):
        skip("there is no terraform on this machine")
    cli_configuration()
    environment.main()

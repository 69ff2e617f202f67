"""Create what `cluster/gpu.yaml` needs in an AWS account, once: `python -m cluster.aws`.

That is a security group which only you can reach over SSH, and an instance profile that may start
instances and use one bucket. What Ray creates by default is open to SSH from everywhere, may do
anything in EC2 and S3, and gives workers no permissions.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys
import time
from typing import Any

from trainables.errors import UserError
from trainables.terminal import print_text

NAME = "tunery"
START = [
    "ec2:Describe*",
    "ec2:RunInstances",
    "ssm:GetParameters",  # EC2 looks up the image on behalf of the caller
]
MANAGE = ["ec2:CreateTags", "ec2:TerminateInstances", "ec2:StopInstances", "ec2:StartInstances"]
# Ray tags an instance when it starts it. A role that may tag any instance may terminate any, so
# tags are allowed for new instances and for those that already have this one.
OURS = {"StringLike": {"aws:ResourceTag/ray-cluster-name": f"{NAME}*"}}
NEW = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
SPOT = {"StringLike": {"iam:AWSServiceName": "spot.amazonaws.com"}}


def policy(account: str, bucket: str, partition: str = "aws") -> dict[str, Any]:
    """Return the policy of the instances: start more of them, terminate those, use the bucket."""
    arn = f"arn:{partition}"
    machines = f"{arn}:ec2:*:{account}:instance/*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": START, "Resource": "*"},
            {"Effect": "Allow", "Action": MANAGE, "Resource": machines, "Condition": OURS},
            {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": NEW},
            {
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": f"{arn}:iam::{account}:role/{NAME}",
            },
            {
                "Effect": "Allow",
                "Action": "iam:CreateServiceLinkedRole",
                "Resource": "*",
                "Condition": SPOT,
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": f"{arn}:s3:::{bucket}",
            },
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                "Resource": f"{arn}:s3:::{bucket}/*",
            },
        ],
    }


def rules(group: str, admitted: str) -> list[dict[str, Any]]:
    """Return a group's rules: all traffic between its own instances, SSH from `admitted`."""
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": admitted}]}
    return [inside, ssh]


def create_security_group(ec2: Any, admitted: str) -> str:
    """Create the security group in the default VPC, or replace the rules of the existing one."""
    networks = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not networks:
        raise UserError(
            "the region has no default VPC\ncreate one with `aws ec2 create-default-vpc`"
        )
    network = networks[0]["VpcId"]
    filters = [
        {"Name": "vpc-id", "Values": [network]},
        {"Name": "group-name", "Values": [NAME]},
    ]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    if found:
        group = found[0]["GroupId"]
        if old := found[0]["IpPermissions"]:
            ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=old)
    else:
        group = ec2.create_security_group(
            GroupName=NAME, Description="Machines of tunery", VpcId=network
        )["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules(group, admitted))
    return str(group)


def create_instance_profile(iam: Any, account: str, bucket: str, partition: str) -> None:
    """Create the role and its instance profile, or replace the policy of the existing role."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    missing = iam.exceptions.NoSuchEntityException
    try:
        iam.get_role(RoleName=NAME)
    except missing:
        iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(
        RoleName=NAME,
        PolicyName=NAME,
        PolicyDocument=json.dumps(policy(account, bucket, partition)),
    )
    try:
        profile = iam.get_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]
    except missing:
        profile = iam.create_instance_profile(InstanceProfileName=NAME)["InstanceProfile"]
    if not profile["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
        time.sleep(10)  # until EC2 knows it


def network(text: str) -> str:
    """Read a network such as 203.0.113.7/32; rejects one that contains every address."""
    try:
        read = ipaddress.ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not read.prefixlen:
        raise argparse.ArgumentTypeError(f"{text} admits everybody")
    return str(read)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    p = argparse.ArgumentParser(prog="python -m cluster.aws", description=__doc__)
    p.add_argument("--region", required=True)
    p.add_argument("--bucket", required=True, help="existing bucket for the storage")
    p.add_argument("--admit", required=True, type=network, help="network (CIDR) that may log in")
    options = p.parse_args(arguments)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        print_text("pip install boto3, or this package with [cluster]", sys.stderr)
        return 2
    session = boto3.Session(region_name=options.region)
    try:
        caller = session.client("sts").get_caller_identity()
        partition = caller["Arn"].split(":")[1]
        create_instance_profile(
            session.client("iam"), caller["Account"], options.bucket, partition
        )
        group = create_security_group(session.client("ec2"), options.admit)
    except (BotoCoreError, ClientError, UserError) as error:
        print_text(error, sys.stderr)
        return 2
    print_text(f"instance profile {NAME} and security group {group} are ready in {options.region}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

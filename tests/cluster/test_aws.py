"""The AWS account: only machines of the cluster, and only those who are admitted."""

from __future__ import annotations

import fnmatch

import pytest

from tests.support.cluster_files import read_config


def test_only_machines_of_the_cluster_can_be_terminated_or_tagged() -> None:
    from cluster import aws

    statements = aws.policy("1", "b")["Statement"]
    name = read_config("gpu.yaml")["cluster_name"]
    for action in ("ec2:TerminateInstances", "ec2:StopInstances", "ec2:CreateTags"):
        conditions = [s.get("Condition") for s in statements if action in s["Action"]]
        assert aws.OURS in conditions, action
        assert None not in conditions, action
    assert fnmatch.fnmatch(name, aws.OURS["StringLike"]["aws:ResourceTag/ray-cluster-name"])


def test_the_security_group_admits_only_the_given_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moto = pytest.importorskip("moto")
    import boto3

    from cluster import aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "mocked")
    monkeypatch.setattr(aws.time, "sleep", lambda seconds: None)
    words = ["--region", "us-west-2", "--bucket", "b", "--admit", "203.0.113.7/32"]
    with moto.mock_aws():
        ec2 = boto3.client("ec2", region_name="us-west-2")
        network = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = ec2.create_security_group(GroupName="tunery", Description="x", VpcId=network)
        world = [{"CidrIp": "0.0.0.0/0"}]  # as Ray would have made it
        rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": world}
        ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[rule])
        assert aws.main(words) == 0
        assert aws.main(words) == 0
        group = ec2.describe_security_groups(GroupIds=[made["GroupId"]])["SecurityGroups"][0]
        admitted = [r["CidrIp"] for rule in group["IpPermissions"] for r in rule["IpRanges"]]
        assert admitted == ["203.0.113.7/32"]
        inside = [p["GroupId"] for r in group["IpPermissions"] for p in r["UserIdGroupPairs"]]
        assert inside == [made["GroupId"]]
        iam = boto3.client("iam")
        profile = iam.get_instance_profile(InstanceProfileName="tunery")["InstanceProfile"]
        assert [role["RoleName"] for role in profile["Roles"]] == ["tunery"]
        assert not iam.list_attached_role_policies(RoleName="tunery")["AttachedPolicies"]
    with pytest.raises(SystemExit):
        aws.main([*words[:-1], "0.0.0.0/0"])
    assert "admits everybody" in capsys.readouterr().err

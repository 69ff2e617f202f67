from __future__ import annotations

import pytest


def test_the_group_lets_in_whom_it_is_told_and_nobody_else(
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
    assert "everybody" in capsys.readouterr().err

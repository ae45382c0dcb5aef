"""Translates template.yaml as SAM does in the cloud, for every deployment on
standard input, and creates each result as a stack in moto, inside this process.

In:  {"template": path, "deployments": [{"name", "stack", "region", "parameters": {...}}]}
Out: [{"name", "translated": {...}, "warnings": ["what the translator or Python warned of", ...], "stack": {the created resources}}]
"""
import io
import ipaddress
import json
import logging
import os
import sys
import warnings
import zipfile

os.environ.update(AWS_ACCESS_KEY_ID="made-up", AWS_SECRET_ACCESS_KEY="made-up", AWS_DEFAULT_REGION="cn-north-1")

import boto3
from moto import mock_aws
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

CODE = {"Bucket": "artifacts", "Key": "code.zip"}


class Heard(logging.Handler):
    """Collects what is logged during a translation."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.name}: {record.getMessage()}")


def translate(text, region, parameters):
    """Returns the translated template, and the warnings of the translation."""
    heard = Heard()
    logging.getLogger().addHandler(heard)
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            translated = translated_template(text, region, parameters)
    finally:
        logging.getLogger().removeHandler(heard)
    # AWS's service publishes metrics of its own; a program that only translates has none.
    lines = [line for line in heard.lines if not line.startswith("samtranslator.metrics.metrics: There are unpublished metrics.")]
    return translated, lines + [f"{w.filename}: {w.category.__name__}: {w.message}" for w in raised]


def translated_template(text, region, parameters):
    template = yaml_parse(text)
    # As in `sam package`, objects replace the folders of code.
    template["Globals"]["Function"].pop("CodeUri")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = CODE
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = CODE
    session = boto3.Session(region_name=region)
    out = Translator({}, Parser(), boto_session=session).translate(template, dict(parameters))
    return json.loads(json.dumps(out, default=str))


def networks(value, parameters):
    """Puts the networks in the place of Fn::Cidr, which moto lacks."""
    if isinstance(value, list):
        return [networks(v, parameters) for v in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Cidr" not in value:
        return {k: networks(v, parameters) for k, v in value.items()}
    of, count, bits = value["Fn::Cidr"]
    if "Ref" in of:
        of = parameters[of["Ref"]]
    else:
        index, of = of["Fn::Select"]
        of = networks(of, parameters)[index]
    every = ipaddress.ip_network(of).subnets(new_prefix=32 - int(bits))
    return [str(next(every)) for _ in range(int(count))]


def made_of(resources, kind):
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == kind}


def create(translated, name, region, parameters):
    with warnings.catch_warnings():
        # moto warns of every type that it cannot create; a Go test counts them.
        warnings.simplefilter("ignore")
        return created(translated, name, region, parameters)


def created(translated, name, region, parameters):
    def client(service):
        return boto3.client(service, region_name=region)

    s3 = client("s3")
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=CODE["Bucket"], **where)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as z:
        z.writestr("bootstrap", "")
    s3.put_object(Bucket=CODE["Bucket"], Key=CODE["Key"], Body=code.getvalue())

    cfn = client("cloudformation")
    parameters = dict(parameters)
    for name in ("AddressAllocationA", "AddressAllocationB"):
        if name in parameters:
            address = client("ec2").allocate_address(Domain="vpc")
            parameters[name] = address["AllocationId"] + "/" + address["PublicIp"]
    # moto creates no domain and refuses the output with its name.
    body = {**translated, "Outputs": {k: v for k, v in translated["Outputs"].items() if k != "DomainTarget"}}
    body = networks(body, {**{k: v.get("Default") for k, v in body["Parameters"].items()}, **parameters})
    cfn.create_stack(
        StackName=name, TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    stack = cfn.describe_stacks(StackName=name)["Stacks"][0]
    # A resource that moto creates only in part has no id.
    resources = [r for r in cfn.describe_stack_resources(StackName=name)["StackResources"] if "LogicalResourceId" in r and "PhysicalResourceId" in r]
    of = lambda kind: made_of(resources, kind)
    ec2, sqs, iam, kms, ddb = client("ec2"), client("sqs"), client("iam"), client("kms"), client("dynamodb")
    logs, functions = client("logs"), client("lambda")

    got = {"status": stack["StackStatus"], "outputs": {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}}
    got["types"] = sorted({r["ResourceType"] for r in resources})
    got["physical"] = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources}
    got["queues"] = {
        i: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for i, url in of("AWS::SQS::Queue").items()
    }
    got["tables"] = {}
    for i, table in of("AWS::DynamoDB::Table").items():
        t = ddb.describe_table(TableName=table)["Table"]
        backups = ddb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        got["tables"][i] = {
            "billing": t["BillingModeSummary"]["BillingMode"], "protected": t.get("DeletionProtectionEnabled"),
            "recovery": backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"],
            "keys": [k["AttributeName"] for k in t["KeySchema"]],
        }
    # moto applies only the encryption of a bucket.
    got["buckets"] = {
        i: s3.get_bucket_encryption(Bucket=b)["ServerSideEncryptionConfiguration"]["Rules"][0]
        for i, b in of("AWS::S3::Bucket").items()
    }
    got["keys"] = {i: kms.get_key_rotation_status(KeyId=k)["KeyRotationEnabled"] for i, k in of("AWS::KMS::Key").items()}
    got["roles"] = {}
    for i, role in of("AWS::IAM::Role").items():
        inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
        got["roles"][i] = {
            "trust": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
            "managed": iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"],
            "policies": inline,
            "boundary": iam.get_role(RoleName=role)["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
        }
    got["functions"] = {}
    for i, f in of("AWS::Lambda::Function").items():
        c = functions.get_function(FunctionName=f)["Configuration"]
        got["functions"][i] = {
            "role": c["Role"], "timeout": c["Timeout"], "memory": c["MemorySize"],
            "environment": c["Environment"]["Variables"], "subnets": c.get("VpcConfig", {}).get("SubnetIds", []),
        }
    got["mappings"] = {
        m["EventSourceArn"]: m.get("ScalingConfig", {}).get("MaximumConcurrency")
        for m in functions.list_event_source_mappings()["EventSourceMappings"]
    }
    got["log_groups"] = {g["logGroupName"]: g.get("retentionInDays") for g in logs.describe_log_groups()["logGroups"]}
    vpcs = of("AWS::EC2::VPC")
    only = [{"Name": "vpc-id", "Values": list(vpcs.values())}]
    got["subnets"] = {} if not vpcs else {
        s["SubnetId"]: {"zone": s["AvailabilityZone"], "cidr": s["CidrBlock"]}
        for s in ec2.describe_subnets(Filters=only)["Subnets"]
    }
    # moto does not report the subnets of a route table.
    got["routes"] = {} if not vpcs else {
        t["RouteTableId"]: [
            r.get("NatGatewayId") or r.get("GatewayId") for r in t["Routes"]
            if r.get("DestinationCidrBlock") == "0.0.0.0/0"
        ]
        for t in ec2.describe_route_tables(Filters=only)["RouteTables"]
    }
    got["endpoints"] = {
        e["ServiceName"]: {"type": e["VpcEndpointType"], "tables": sorted(e["RouteTableIds"])}
        for e in ec2.describe_vpc_endpoints()["VpcEndpoints"]
    }
    got["nats"] = {
        n["NatGatewayId"]: {"subnet": n["SubnetId"], "allocation": n["NatGatewayAddresses"][0]["AllocationId"]}
        for n in ec2.describe_nat_gateways()["NatGateways"]
    }
    got["addresses"] = {a["PublicIp"]: a["AllocationId"] for a in ec2.describe_addresses()["Addresses"]}
    got["given"] = parameters
    got["topics"] = [t["TopicArn"] for t in client("sns").list_topics()["Topics"]]
    return got


job = json.load(sys.stdin)
with open(job["template"], encoding="utf-8") as f:
    text = f.read()
out = []
for d in job["deployments"]:
    translated, warned = translate(text, d["region"], d["parameters"])
    with mock_aws():
        out.append({"name": d["name"], "translated": translated, "warnings": warned, "stack": create(translated, d["stack"], d["region"], d["parameters"])})
json.dump(out, sys.stdout)

#!/usr/bin/env python3
"""Creates a bucket, stores an object through the endpoint of a running `holdfast dev`, fetches and compares it."""

import json
import os
import pathlib
import sys

import boto3


def main(data_dir):
    ready = json.loads((data_dir / "ready.json").read_text())
    keys = json.loads((data_dir / "root-credentials.json").read_text())
    s3 = boto3.client(
        "s3",
        endpoint_url=ready["s3"],
        region_name=ready["region"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        verify=False if ready["s3"].startswith("https") else None,
    )
    s3.create_bucket(Bucket="quickstart")
    body = os.urandom(3 * 1024 * 1024 + 7)
    put = s3.put_object(Bucket="quickstart", Key="hello/holdfast.bin", Body=body)
    got = s3.get_object(Bucket="quickstart", Key="hello/holdfast.bin")["Body"].read()
    if got != body:
        print("the bytes that came back are not the bytes that were stored")
        return 1
    print(f"stored and fetched {len(body)} bytes at {ready['s3']}/quickstart/hello/holdfast.bin, ETag {put['ETag']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

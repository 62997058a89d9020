"""One function per S3 client, each as its user would run it. `home` is a directory of the check's own run."""

import filecmp
import hashlib
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import urllib.parse

import boto3
import minio
import urllib3
from boto3.s3.transfer import TransferConfig

MIB = 1 << 20


def run(system, *command, **kwargs):
    environment = {**system.environment(), **kwargs.pop("env", {})}
    environment = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [str(word) for word in command], env=environment,
        capture_output=True, text=True, timeout=300, **kwargs,
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def fresh(home, name):
    """An empty directory of this check's own."""
    path = pathlib.Path(home) / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def tree(path, sizes):
    """Files of random bytes, some with names that need escaping."""
    names = ["plain.bin", "sub/dir/deep.bin", "with space & plus+.bin", "ünïcödé-文.bin", "a=b,c;d@e!.bin"]
    for number, size in enumerate(sizes):
        file = path / names[number % len(names)].replace(".bin", f"-{number}.bin")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    return path


def same_trees(left, right):
    files = sorted(p.relative_to(left) for p in left.rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(right) for p in right.rglob("*") if p.is_file())
    for file in files:
        assert filecmp.cmp(left / file, right / file, shallow=False), f"{file} differs"
    assert files, "nothing was compared"


def bucket_name(word):
    return f"{word}-{secrets.token_hex(4)}"


def boto(system, **config):
    return boto3.client(
        "s3", endpoint_url=system.endpoint, region_name=system.ready["region"],
        aws_access_key_id=system.access_key, aws_secret_access_key=system.secret_key,
        verify=str(system.ca) if system.ca else None,
        config=boto3.session.Config(**{"retries": {"max_attempts": 2}, **config}),
    )


def aws_cli(system, home):
    aws = pathlib.Path(sys.executable).parent / "aws"
    bucket, work = bucket_name("awscli"), fresh(home, "awscli")
    source = tree(work / "source", [0, 1, 4096, 100_000, 3 * MIB])
    run(system, aws, "s3", "mb", f"s3://{bucket}")
    run(system, aws, "s3", "sync", source, f"s3://{bucket}/tree", "--quiet")
    run(system, aws, "s3", "sync", f"s3://{bucket}/tree", work / "back", "--quiet")
    same_trees(source, work / "back")
    big = work / "big.bin"
    big.write_bytes(os.urandom(100 * MIB))
    run(system, aws, "s3", "cp", big, f"s3://{bucket}/big.bin", "--quiet")
    run(system, aws, "s3", "cp", f"s3://{bucket}/big.bin", work / "big.back", "--quiet")
    assert filecmp.cmp(big, work / "big.back", shallow=False)
    run(system, aws, "s3", "cp", f"s3://{bucket}/big.bin", f"s3://{bucket}/copy.bin", "--quiet")
    run(system, aws, "s3", "cp", f"s3://{bucket}/copy.bin", work / "copy.back", "--quiet")
    assert filecmp.cmp(big, work / "copy.back", shallow=False)
    ca = ["--cacert", system.ca] if system.ca else []
    # The aws cli still presigns with SigV2 here unless told otherwise; the answer must say what to do.
    old = run(system, aws, "s3", "presign", f"s3://{bucket}/big.bin").strip()
    assert "AWS4-HMAC-SHA256" in run(system, "curl", "-sS", *ca, old)
    (work / "config").write_text("[default]\ns3 =\n  signature_version = s3v4\n")
    v4 = {"AWS_CONFIG_FILE": str(work / "config")}
    url = run(system, aws, "s3", "presign", f"s3://{bucket}/big.bin", env=v4).strip()
    run(system, "curl", "-sSf", *ca, "-o", work / "presigned", url)
    assert filecmp.cmp(big, work / "presigned", shallow=False)
    assert "big.bin" in run(system, aws, "s3", "ls", f"s3://{bucket}/")
    run(system, aws, "s3", "rm", f"s3://{bucket}", "--recursive", "--quiet")
    run(system, aws, "s3", "rb", f"s3://{bucket}")


def boto3_defaults(system, home):
    s3, bucket = boto(system), bucket_name("boto3")
    s3.create_bucket(Bucket=bucket)
    for size in (0, 1, 16 * 1024, 16 * 1024 + 1, 5 * MIB + 3):
        body = os.urandom(size)
        put = s3.put_object(Bucket=bucket, Key=f"k/{size}", Body=body, Metadata={"a": "b"}, ContentType="text/x")
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        got = s3.get_object(Bucket=bucket, Key=f"k/{size}")
        assert got["Body"].read() == body and got["Metadata"] == {"a": "b"} and got["ContentType"] == "text/x"
    work = fresh(home, "boto3")
    (work / "in").write_bytes(os.urandom(40 * MIB + 5))
    s3.upload_file(str(work / "in"), bucket, "multi", Config=TransferConfig(multipart_chunksize=8 * MIB))
    s3.download_file(bucket, "multi", str(work / "out"))
    assert filecmp.cmp(work / "in", work / "out", shallow=False)
    assert s3.head_object(Bucket=bucket, Key="multi")["ETag"].endswith('-6"')


def minio_py(system, home):
    url = urllib.parse.urlparse(system.endpoint)
    pool = urllib3.PoolManager(ca_certs=str(system.ca)) if system.ca else None
    client = minio.Minio(
        endpoint=url.netloc, access_key=system.access_key, secret_key=system.secret_key,
        secure=url.scheme == "https", region=system.ready["region"], http_client=pool,
    )
    bucket, work = bucket_name("miniopy"), fresh(home, "minio")
    client.make_bucket(bucket_name=bucket)
    assert client.bucket_exists(bucket_name=bucket)
    for size in (10, 70_000, 12 * MIB):
        (work / "in").write_bytes(os.urandom(size))
        client.fput_object(bucket_name=bucket, object_name=f"o/{size}", file_path=str(work / "in"))
        client.fget_object(bucket_name=bucket, object_name=f"o/{size}", file_path=str(work / "out"))
        assert filecmp.cmp(work / "in", work / "out", shallow=False)
    names = sorted(o.object_name for o in client.list_objects(bucket_name=bucket, recursive=True))
    assert names == sorted(f"o/{size}" for size in (10, 70_000, 12 * MIB))
    for name in names:
        client.remove_object(bucket_name=bucket, object_name=name)
    client.remove_bucket(bucket_name=bucket)


def rclone(system, home):
    bucket, work = bucket_name("rclone"), fresh(home, "rclone")
    source = tree(work / "source", [0, 5, 20_000, 300_000, 2 * MIB, 9 * MIB])
    remote = {
        "RCLONE_CONFIG": str(work / "none.conf"), "RCLONE_CONFIG_HF_TYPE": "s3", "RCLONE_CONFIG_HF_PROVIDER": "Other",
        "RCLONE_CONFIG_HF_ACCESS_KEY_ID": system.access_key,
        "RCLONE_CONFIG_HF_SECRET_ACCESS_KEY": system.secret_key,
        "RCLONE_CONFIG_HF_ENDPOINT": system.endpoint, "RCLONE_CONFIG_HF_REGION": system.ready["region"],
        "AWS_CA_BUNDLE": None,  # rclone has --ca-cert instead, and refuses to start with both
    }
    ca = ["--ca-cert", system.ca] if system.ca else []
    run(system, "rclone", "mkdir", f"HF:{bucket}", *ca, env=remote)
    run(system, "rclone", "copy", source, f"HF:{bucket}/t", *ca, "--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M",
        env=remote)
    run(system, "rclone", "check", source, f"HF:{bucket}/t", *ca, "--download", env=remote)
    run(system, "rclone", "copy", f"HF:{bucket}/t", work / "back", *ca, env=remote)
    same_trees(source, work / "back")


def s3cmd(system, home):
    url = urllib.parse.urlparse(system.endpoint)
    bucket, work = bucket_name("s3cmd"), fresh(home, "s3cmd")
    source = tree(work / "source", [1, 50_000, 2 * MIB, 18 * MIB])
    options = [
        f"--access_key={system.access_key}", f"--secret_key={system.secret_key}", f"--host={url.netloc}",
        f"--host-bucket={url.netloc}", f"--region={system.ready['region']}", "--no-progress",
        "--config", work / "none.cfg",
    ]
    (work / "none.cfg").write_text("")
    options += ["--ssl", f"--ca-certs={system.ca}"] if system.ca else ["--no-ssl"]
    run(system, "s3cmd", *options, "mb", f"s3://{bucket}")
    run(system, "s3cmd", *options, "sync", f"{source}/", f"s3://{bucket}/t/")
    (work / "back").mkdir()
    run(system, "s3cmd", *options, "sync", f"s3://{bucket}/t/", f"{work}/back/")
    same_trees(source, work / "back")
    run(system, "s3cmd", *options, "del", "--recursive", "--force", f"s3://{bucket}")
    run(system, "s3cmd", *options, "rb", f"s3://{bucket}")


def restic(system, home):
    bucket, work = bucket_name("restic"), fresh(home, "restic")
    source = tree(work / "source", [10, 100_000, 4 * MIB, 20 * MIB])
    env = {"RESTIC_REPOSITORY": f"s3:{system.endpoint}/{bucket}", "RESTIC_PASSWORD": "not a secret of ours",
           "RESTIC_CACHE_DIR": str(work / "cache")}
    ca = ["--cacert", system.ca] if system.ca else []
    run(system, "restic", *ca, "init", env=env)
    run(system, "restic", *ca, "backup", ".", env=env, cwd=source)
    run(system, "restic", *ca, "check", "--read-data", env=env)
    run(system, "restic", *ca, "restore", "latest", "--target", work / "back", env=env)
    same_trees(source, work / "back")


def aws_sdk_rust(system, home):
    check = system.holdfast.with_name("holdfast-sdk-check")
    out = run(system, check, system.endpoint, bucket_name("rustsdk"))
    assert "all compared" in out, out


ALL = [aws_cli, boto3_defaults, minio_py, rclone, s3cmd, restic, aws_sdk_rust]

"""Certificates for TLS tests: a CA, what it has signed, and what somebody else has."""

import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_certificates(home):
    """ca.pem; backend and client (.pem, .key) signed by it; locked.key, client.key with a password from
    `passwords`; stranger (.pem, .key), signed by nobody."""

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=home, check=True, capture_output=True)

    for name in ("ca", "stranger"):
        openssl("req", "-x509", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                "-days", "2")
    for name in ("backend", "client"):
        (home / "san").write_text(f"subjectAltName=DNS:{name}.example\n")
        openssl("req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}.example")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "san")
    openssl("ec", "-in", "client.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
    (home / "passwords").write_text("wrong\nsecret\n")
    return home

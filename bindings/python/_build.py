"""Build backend (PEP 517) of the standard library alone: a wheel is an archive
of what is below src/, and this package compiles nothing."""

import base64
import hashlib
import os
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
NAME, VERSION = "qapi_agent", "0.1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = f"""Metadata-Version: 2.1
Name: qapi-agent
Version: {VERSION}
Summary: Secrets and keys from the local qapi-agent
Requires-Python: >=3.9
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
"""
WHEEL = """Wheel-Version: 1.0
Generator: qapi-agent
Root-Is-Purelib: true
Tag: py3-none-any
"""


def _read(path):
    with open(path, "rb") as f:
        return f.read()


def _sources():
    """(path in the wheel, bytes)"""
    src = os.path.join(HERE, "src")
    for directory, names, files in os.walk(src):
        names[:] = sorted(n for n in names if n != "__pycache__")
        for name in sorted(files):
            if name.endswith((".py", ".typed")):
                path = os.path.join(directory, name)
                yield os.path.relpath(path, src), _read(path)


def _wheel(directory, sources):
    readme = _read(os.path.join(HERE, "README.md")).decode()
    metadata = METADATA + \
        "Description-Content-Type: text/markdown\n\n" + readme
    files = [*sources, (f"{INFO}/METADATA", metadata.encode()),
             (f"{INFO}/WHEEL", WHEEL.encode())]
    record = ""
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w",
                         zipfile.ZIP_DEFLATED) as z:
        for path, data in files:
            digest = hashlib.sha256(data).digest()
            code = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            record += f"{path},sha256={code},{len(data)}\n"
            z.writestr(path, data)
        z.writestr(f"{INFO}/RECORD", record + f"{INFO}/RECORD,,\n")
    return name


def build_wheel(wheel_directory, config_settings=None,
                metadata_directory=None):
    return _wheel(wheel_directory, _sources())


def build_editable(wheel_directory, config_settings=None,
                   metadata_directory=None):
    path = os.path.join(HERE, "src") + "\n"
    return _wheel(wheel_directory, [(f"{NAME}.pth", path.encode())])


def build_sdist(sdist_directory, config_settings=None):
    top = f"{NAME}-{VERSION}"
    name = top + ".tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz") as t:
        for path in ("pyproject.toml", "_build.py", "README.md", "src"):
            t.add(os.path.join(HERE, path), f"{top}/{path}",
                  filter=lambda i: None if "__pycache__" in i.name else i)
    return name

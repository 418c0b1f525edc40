# ruff: noqa: INP001, T201  # a script of the containers; it prints for people
"""Makes the stack's secrets on its first start, and keeps them: the one-shot service ``init``.

``python init_secrets.py``                               make what is missing; values in the environment win;
                                                         give gateway and console their volumes, whoever made these
``python init_secrets.py show``                          print them
``python init_secrets.py device SITE/DOMAIN/DEVICE``     give a real device a login, and print its password
``python init_secrets.py forget SITE/DOMAIN/DEVICE``     take it away
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from contract import topics
from deploy.compose.identities import BROKER_USERS, DEVICES, FOLDERS, OWNERS, PASSWORDS, SECRETS, fleet_devices

FOLDER: Final = Path("/run/edgefleet")
STATE: Final = Path("/var/lib")
CERTIFICATES: Final = Path("/etc/edgefleet/tls")
ITERATIONS: Final = 101
"""Of PBKDF2, as mosquitto_passwd has them; passwords are random, so guessing is no threat."""
TLS_FILES: Final = {
    "mosquitto": ("ca.pem", "server.pem", "server.key"),
    "gateway": ("ca.pem", "gateway.pem", "gateway.key"),
    "simulator": ("ca.pem", "fleet.pem", "fleet.key"),
}

Chown = Callable[[Path, int, int], None]


class Vault:
    """The folder of secrets."""

    def __init__(self, folder: Path = FOLDER, chown: Chown = os.chown) -> None:
        """Take a folder; ``chown`` gives a file to its service."""
        self._folder = folder
        self._chown = chown

    def read(self, file: str) -> str:
        """Return a secret; empty if there is none."""
        path = self._folder / file
        return path.read_text() if path.exists() else ""

    def write(self, file: str, text: str) -> None:
        """Put a secret, whole or not at all, where its service alone may read it."""
        path = self._folder / file
        owner = OWNERS[path.parent.name]
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
            self._chown(path.parent, owner, owner)
        fresh = path.with_suffix(path.suffix + ".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(text)
        fresh.chmod(0o400)
        self._chown(fresh, owner, owner)
        fresh.replace(path)


def make(vault: Vault, environment: Mapping[str, str], devices: Iterable[str]) -> None:
    """Make what is missing; a value of the environment replaces what is there."""
    for secret in SECRETS:
        value = environment.get(secret.variable) or vault.read(secret.file) or secrets.token_urlsafe(32)
        if value != vault.read(secret.file):
            vault.write(secret.file, value)
    give_logins(vault, devices)


def give_logins(vault: Vault, devices: Iterable[str]) -> None:
    """Give each new device a login."""
    logins = read_logins(vault)
    logins |= {device: secrets.token_urlsafe(18) for device in devices if device not in logins}
    write_logins(vault, logins)


def read_logins(vault: Vault) -> dict[str, str]:
    """Return the devices' passwords, by user name."""
    return dict(line.split(":", 1) for line in vault.read(DEVICES).splitlines())


def write_logins(vault: Vault, logins: Mapping[str, str]) -> None:
    """Keep the devices' passwords, and the broker's file of hashes of everybody's."""
    vault.write(DEVICES, "".join(f"{device}:{password}\n" for device, password in logins.items()))
    users = {user: vault.read(file) for user, file in BROKER_USERS.items()} | dict(logins)
    vault.write(PASSWORDS, "".join(f"{user}:{hashed(password)}\n" for user, password in users.items()))


def hashed(password: str) -> str:
    """Return a password as Mosquitto keeps it: ``$7$iterations$salt$hash`` of PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def take_certificates(vault: Vault, folder: Path) -> None:
    """Give each service its certificate and key.

    :raises SystemExit: one is missing
    """
    for service, names in TLS_FILES.items():
        for name in names:
            if not (folder / name).is_file():
                sys.exit(f"{name} is not in deploy/tls/certs. Run make tls first.")
            vault.write(f"{service}/{name}", (folder / name).read_text())


def give_folders(root: Path, chown: Callable[..., None] = os.chown) -> None:
    """Give gateway and console their volumes, and let the gateway's group read: an older image made them otherwise.

    Links are not followed: what is in a volume is not ours.
    """
    group = OWNERS["gateway"]
    for service, name in FOLDERS.items():
        for _, folders, files, inside in os.fwalk(root / name):
            for each in folders + files:
                chown(each, OWNERS[service], group, dir_fd=inside, follow_symlinks=False)
        chown(root / name, 0, group)  # without FOWNER only an owner may change a mode
        (root / name).chmod(0o750)
        chown(root / name, OWNERS[service], group)


def show(vault: Vault) -> str:
    """Return all secrets that people need."""
    lines = [f"{secret.what:<30}{vault.read(secret.file)}" for secret in SECRETS if "health" not in secret.file]
    logins = read_logins(vault).items()
    return "\n".join([*lines, *(f"broker, device {device:<40}{password}" for device, password in logins)])


def add_device(vault: Vault, name: str) -> str:
    """Give a device a login; return its password.

    :raises TopicError: the name is not an identity
    """
    device = str(topics.device_id(*name.split("/", 2)))
    give_logins(vault, [device])
    return read_logins(vault)[device]


def forget_device(vault: Vault, device: str) -> None:
    """Take a device's login away."""
    write_logins(vault, {name: password for name, password in read_logins(vault).items() if name != device})


def main(arguments: list[str]) -> None:
    """Run the command."""
    vault = Vault()
    match arguments:
        case []:
            make(vault, os.environ, fleet_devices())
            give_folders(STATE)
            if os.environ.get("EDGEFLEET_TLS"):
                take_certificates(vault, CERTIFICATES)
        case ["show"]:
            print(show(vault))
        case ["device", name] if name.count("/") == 2:
            print(add_device(vault, name))
        case ["forget", name]:
            forget_device(vault, name)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

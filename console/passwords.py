"""Passwords of the console: argon2id hashes, one a role, in a file that its owner alone may read."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from console.errors import PasswordError

Role = Literal["operator", "viewer"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PASSWORDS: Final = "console-passwords.json"
SHORTEST: Final = 10
"""Characters a password needs; length is what an attacker pays for."""
LONGEST: Final = 1024


class Passwords:
    """The passwords in one folder."""

    def __init__(self, folder: Path, hasher: PasswordHasher | None = None) -> None:
        """Remember the file; it is read by each call, so that a changed password counts at once.

        ``hasher`` says what a guess costs; by default argon2id with the second choice of RFC 9106.
        """
        self._path = folder / PASSWORDS
        self._hasher = hasher or PasswordHasher()

    def put(self, role: Role, password: str) -> None:
        """Set a role's password.

        :raises PasswordError: it is too short or too long, or the file cannot be written
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise PasswordError(f"A password needs {SHORTEST} to {LONGEST} characters; this one has {len(password)}.")
        hashes = self._hashes() | {role: self._hasher.hash(password)}
        beside = self._path.with_suffix(".new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(hashes, file)
            beside.replace(self._path)
        except OSError as error:
            raise PasswordError(f"{self._path} cannot be written ({error.strerror}).") from error

    def take(self, role: Role, file: Path) -> None:
        """Set a role's password to the first line of a file, as secret stores give it, unless it is that already.

        :raises PasswordError: the file cannot be read, or the password is refused
        """
        try:
            with file.open(encoding="utf-8") as lines:
                password = lines.readline().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PasswordError(f"{file} cannot be read ({error}). It should hold the {role}'s password.") from error
        if self.role(password) != role:
            self.put(role, password)

    def any(self) -> bool:
        """Tell whether a password is set.

        :raises PasswordError: the file cannot be used
        """
        return bool(self._hashes())

    def role(self, password: str) -> Role | None:
        """Return the role that a password opens, ``None`` for a wrong one. Takes some 50 ms, on purpose.

        :raises PasswordError: the file cannot be used
        """
        hashes = self._hashes()
        # the others are checked too, and one that nobody has: how long it takes tells nothing
        matches = {role: self._fits(hashes.get(role, self._decoy), password) and role in hashes for role in ROLES}
        return next((role for role in ROLES if matches[role]), None)

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash("nobody")

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False

    def _hashes(self) -> dict[str, str]:
        try:
            hashes = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            message = f"{self._path} cannot be used ({error}). Delete it and set the passwords again."
            raise PasswordError(message) from error
        if not isinstance(hashes, dict) or not all(isinstance(text, str) for text in hashes.values()):
            raise PasswordError(f"{self._path} is not a table of hashes. Delete it and set the passwords again.")
        return hashes

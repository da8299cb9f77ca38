"""Who may do what on the embedded broker: names, password hashes, topic rules. No I/O.

One operator may do everything below our root; a device may publish its own up channels and read
its own down channels. mosquitto and amqtt are given the same rules and the same password file.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from green_edge_wire.topics import ROOT, Down, Up, parse

# Begins with an underscore, which no device id may, so that the two can never meet.
OPERATOR = "_operator"

# mosquitto's own format: PBKDF2-HMAC-SHA512, 101 rounds, 12 bytes of salt (mosquitto_passwd 2.0).
# The passwords are 192 random bits, so the few rounds cost no safety.
_ROUNDS = 101
_HASH_BYTES = 64

Action = Literal["publish", "subscribe", "receive"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A user of the embedded broker."""

    user: str
    password: str


def password_line(credential: Credential, salt: bytes) -> str:
    """Line of a mosquitto password file for a credential."""
    digest = _digest(credential.password, salt, _ROUNDS)
    parts = (base64.b64encode(salt).decode(), base64.b64encode(digest).decode())
    return f"{credential.user}:$7${_ROUNDS}${parts[0]}${parts[1]}"


def password_matches(lines: Iterable[str], user: str, password: str) -> bool:
    """Whether a password file lets a user in."""
    for line in lines:
        name, _, stored = line.strip().partition(":")
        if name == user:
            return _hash_matches(stored, password)
    return False


def mosquitto_acl() -> str:
    """The rules as a mosquitto ACL file; %u is the name that a client logged in with."""
    lines = [f"user {OPERATOR}", f"topic readwrite {ROOT}/#", "topic read $SYS/#", ""]
    lines += [f"pattern write {ROOT}/+/%u/{channel}" for channel in Up]
    lines += [f"pattern read {ROOT}/+/%u/{channel}" for channel in Down]
    return "\n".join(lines) + "\n"


def may(user: str, action: Action, topic: str) -> bool:
    """The same rules as a decision about one topic or subscription filter."""
    if user == OPERATOR:
        return topic.startswith((f"{ROOT}/", "$SYS/"))
    # A filter with `+` for the site is a device's right; for the rule it is any site.
    levels = topic.split("/")
    if action == "subscribe" and len(levels) == 5 and levels[2] == "+":
        levels[2] = "any"
    parsed = parse("/".join(levels))
    if parsed is None or parsed[0].device_id != user:
        return False
    return isinstance(parsed[1], Up if action == "publish" else Down)


def _hash_matches(stored: str, password: str) -> bool:
    parts = stored.split("$")
    if len(parts) != 5 or parts[1] != "7" or not parts[2].isdigit():
        return False
    try:
        salt, wanted = base64.b64decode(parts[3]), base64.b64decode(parts[4])
    except binascii.Error:
        return False
    return hmac.compare_digest(_digest(password, salt, int(parts[2])), wanted)


def _digest(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, _HASH_BYTES)

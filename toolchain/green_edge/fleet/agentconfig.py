"""The settings file of a device, as text to paste."""

import json
from collections.abc import Sequence

from green_edge.fleet.access import Credential

_TEMPLATE = """\
# Settings of a green-edge agent. It holds a password: keep it readable for
# its agent alone (chmod 600). Start with: green-edge-agent run --config agent.toml
site = {site}
device_id = {device_id}
state_dir = {state_dir}

[broker]
url = {url}
{credential}

[trust]
# Orders and models are accepted from these keys only ("green-edge keys export" prints the line).
keys = {keys}

[input]
# "npz" or "images" (with path), "mqtt" (inference on request), "stdin", or "none".
kind = {kind}{path}
"""


def agent_toml(  # noqa: PLR0913 - one argument a line of the file
    *,
    site: str,
    device_id: str,
    broker: str,
    credential: Credential | None,
    keys: Sequence[str],
    state_dir: str = "/var/lib/green-edge",
    input_kind: str = "mqtt",
    input_path: str | None = None,
) -> str:
    """Text of an `agent.toml`.

    Args:
        site: first level of the device's topics.
        device_id: second level of them.
        broker: URL without credentials, as the device reaches it.
        credential: of the device at the broker; None where the broker's owner gives it out.
        keys: public keys as `green-edge keys export` prints them.
        state_dir: folder on the device for its spool and models.
        input_kind: where its inputs come from.
        input_path: of the file or folder that some kinds of input need.
    """
    quoted = {
        "site": site,
        "device_id": device_id,
        "state_dir": state_dir,
        "url": broker,
        "kind": input_kind,
    }
    # A JSON string without control characters is also a TOML basic string.
    texts = {key: json.dumps(value) for key, value in quoted.items()}
    path = "" if input_path is None else f"\npath = {json.dumps(input_path)}"
    if credential is None:
        login = '# username = "..."\n# password = "..."'
    else:
        login = f"username = {json.dumps(credential.user)}\n"
        login += f"password = {json.dumps(credential.password)}"
    return _TEMPLATE.format(**texts, credential=login, keys=json.dumps(list(keys)), path=path)

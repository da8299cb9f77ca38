"""Small valid bundles, and the fixed keys that sign them."""

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from green_edge.bundle.keys import SigningKey, signing_key, trusting
from green_edge.bundle.pack import BundleContents, pack
from green_edge_agent.runtime import interpreter
from green_edge_wire import codec
from green_edge_wire.archive import canonical, open_bundle, signature_member
from green_edge_wire.manifest import MANIFEST_MEMBER, SIGNATURE_MEMBER, Pipeline, Softmax, TopK
from support.tiny_models import IN_SCALE, tiny_int8_dense

LABELS = ("ant", "bee", "cat")
RECORD = b'{"schema":1,"tool":"test"}'


def test_signer(name: str = "test", seed: int = 1) -> SigningKey:  # noqa: PT028 - no test
    """Signing key that is always the same for a seed of 0..255."""
    return signing_key(name, bytes([seed]) * 32)


# pytest would otherwise collect it as a test where it is imported.
test_signer.__test__ = False  # type: ignore[attr-defined]


def tiny_contents(
    version: int = 1, name: str = "tiny", *, seed: int | None = None, samples: int = 4
) -> BundleContents:
    """Contents around `tiny_int8_dense(seed=...)`: 4 inputs, 3 classes, softmax and top 2.

    The seed defaults to the version, so that each version is another model.
    """
    model = tiny_int8_dense(seed=version if seed is None else seed)
    net = interpreter.load(model)
    draw = np.random.default_rng(7)
    x = np.round(draw.uniform(-1, 1, (samples, 4)) / IN_SCALE).astype(np.int8)
    y = np.concatenate([net.invoke([row[np.newaxis]])[0] for row in x])
    return BundleContents(
        name=name,
        version=version,
        target="host",
        model=model,
        inputs=net.inputs,
        outputs=net.outputs,
        golden_inputs=(x,),
        golden_outputs=(y,),
        record=RECORD,
        pipeline=Pipeline(post=(Softmax(), TopK(2))),
        labels=LABELS,
    )


def tiny_bundle(
    version: int = 1,
    name: str = "tiny",
    signer: SigningKey | None = None,
    *,
    seed: int | None = None,
) -> bytes:
    """Signed bundle of `tiny_contents`, about 4 kB."""
    return pack(tiny_contents(version, name, seed=seed), signer or test_signer())


def wrong_golden(version: int = 1, signer: SigningKey | None = None) -> bytes:
    """A bundle that is sound but whose model does not give its golden outputs."""
    contents = tiny_contents(version)
    shifted = tuple((array ^ 0x40).astype(array.dtype) for array in contents.golden_outputs)
    return pack(dataclasses.replace(contents, golden_outputs=shifted), signer or test_signer())


def resealed(data: bytes, changes: Mapping[str, bytes], signer: SigningKey | None = None) -> bytes:
    """A bundle of `test_signer` with members changed and properly signed again.

    What a key holder could make with another tool: the digests are right, the contents need not
    make sense.
    """
    signer = signer or test_signer()
    bundle = open_bundle(data, trusting([test_signer().public]))
    files = {m.name: changes.get(m.name, bundle.read(m.name)) for m in bundle.manifest.members}
    members = tuple(
        dataclasses.replace(
            member,
            length_bytes=len(files[member.name]),
            sha256=hashlib.sha256(files[member.name]).hexdigest(),
        )
        for member in bundle.manifest.members
    )
    manifest = codec.dumps(dataclasses.replace(bundle.manifest, members=members)).encode()
    signature = signature_member(signer.key_id, signer.sign(manifest))
    head = [(MANIFEST_MEMBER, manifest), (SIGNATURE_MEMBER, signature)]
    return canonical([*head, *files.items()])

"""Writes a fitted cost model as the package reads it."""

from dataclasses import asdict

from green_edge.targets.cost.model import CostModel, Error


def as_toml(model: CostModel) -> str:
    """The file's text."""
    head = [f'{key} = "{getattr(model, key)}"' for key in ("runtime", "version", "core", "arch")]
    head.append(f"per_inference = {model.per_inference:.5g}")
    fitted = model.fitted
    head += [
        "", "[fitted]", f'date = "{fitted.date}"', f'command = "{fitted.command}"',
        f'on = "{fitted.on}"', f"models = {fitted.models}",
        "", "# On models that were not used for the fit.",
    ]  # fmt: skip
    for name in ("error", "hybrid_error", "unknown_batch_error", "unknown_error"):
        head += [f"[{name}]", *_error(getattr(model, name)), ""]
    head.pop()
    for name, rule in sorted(model.kernels.items()):
        head += ["", f'[kernels."{name}"]', f"tile = {list(rule.tile)}", f"models = {rule.models}"]
        each = ", ".join(f'"{key}" = {value}' for key, value in rule.instructions.items())
        head.append(f"instructions = {{ {each} }}" if each else "instructions = {}")
    return "\n".join(head) + "\n"


def _error(error: Error) -> list[str]:
    return [f"{key} = {value}" for key, value in asdict(error).items()]

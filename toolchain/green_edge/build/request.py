"""Options of a build from the command line and the project file; the command line wins."""

from dataclasses import dataclass, replace
from pathlib import Path

from green_edge.build.options import BuildOptions
from green_edge.build.replay import load_replay
from green_edge.core.metric import parse_metric
from green_edge.core.project import (
    FILE_NAME,
    BuildSection,
    Project,
    find_project,
    load_labels,
    load_pipeline,
    load_project,
)
from green_edge.core.recipe import BUILT_IN, Recipe, check_minutes, load_recipe
from green_edge_wire.errors import ConfigError
from green_edge_wire.manifest import Pipeline

DEFAULT_TIMEOUT_S = 600.0
_DEFAULT_DROP_PP = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """What stands on the command line; None and empty where the user said nothing."""

    model: Path | None = None
    config: Path | None = None
    name: str | None = None
    targets: tuple[str, ...] = ()
    calibration: str | None = None
    calibration_samples: int | None = None
    train: str | None = None
    eval: str | None = None
    labels: Path | None = None
    pipeline: Path | None = None
    recipe: str | None = None
    max_drop_pp: float | None = None
    model_version: int | None = None
    out: Path | None = None
    seed: int | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    custom: tuple[str, ...] = ()
    metric: str | None = None
    budget_minutes: float | None = None
    replay: Path | None = None


def options_of(request: Request, folder: Path) -> BuildOptions:
    """Fill in from the project file what the command line leaves open.

    Without a model and without `--config`, the project file of `folder` is taken. With a model
    alone no project file is read: its sets would be those of another model.

    Raises:
        ConfigError: no model is named, or a file cannot be read.
    """
    project = _project(request, folder)
    section = BuildSection() if project is None else project.build
    model = request.model or _project_model(project)
    replayed = None if request.replay is None else load_replay(request.replay)
    recipe = _recipe(request, project, section) if replayed is None else replayed.recipe
    seeds = (request.seed, replayed.seed if replayed else None, section.seed, recipe.seed)
    drops_pp = (
        request.max_drop_pp,
        replayed.max_drop_pp if replayed else None,
        section.max_drop_pp,
        recipe.budget.max_drop_pp,
    )
    return BuildOptions(
        model=model,
        name=request.name or _project_name(project, request) or model.stem,
        targets=request.targets or section.targets,
        out=request.out or _place(project, section.out),
        calibration=request.calibration or _data(project, section.calibration),
        train=request.train or _data(project, section.train),
        eval=request.eval or _data(project, section.eval),
        labels=_labels(request, project),
        pipeline=_pipeline(request, project),
        recipe=recipe,
        max_drop_pp=next((drop for drop in drops_pp if drop is not None), _DEFAULT_DROP_PP),
        model_version=request.model_version,
        seed=next((seed for seed in seeds if seed is not None), 0),
        timeout_s=request.timeout_s,
        custom=request.custom,
        metric=None if request.metric is None else parse_metric(request.metric),
        replay=None if replayed is None else replayed.search,
    )


def _project(request: Request, folder: Path) -> Project | None:
    if request.config is not None:
        return load_project(request.config)
    return find_project(folder) if request.model is None else None


def _project_model(project: Project | None) -> Path:
    if project is None or project.model is None:
        raise ConfigError(
            "no model is named",
            place="MODEL" if project is None else f"{project.file}: [model]",
            hint=f"give MODEL, or 'path' under [model] in a {FILE_NAME}",
        )
    return project.path(project.model.path)


def _project_name(project: Project | None, request: Request) -> str | None:
    # A model given on the command line is not the one that the file names.
    if project is None or project.model is None or request.model is not None:
        return None
    return project.model.name


def _labels(request: Request, project: Project | None) -> tuple[str, ...]:
    if request.labels is not None:
        return load_labels(request.labels)
    if project is None or project.model is None or project.model.labels is None:
        return ()
    return load_labels(project.path(project.model.labels))


def _pipeline(request: Request, project: Project | None) -> Pipeline:
    if request.pipeline is not None:
        return load_pipeline(request.pipeline)
    if project is None or project.model is None or project.model.pipeline is None:
        return Pipeline()
    return load_pipeline(project.path(project.model.pipeline))


def _place(project: Project | None, text: str) -> Path:
    return Path(text) if project is None else project.path(text)


def _data(project: Project | None, ref: str | None) -> str | None:
    return ref if project is None or ref is None else project.data(ref)


def _recipe(request: Request, project: Project | None, section: BuildSection) -> Recipe:
    recipe = load_recipe(request.recipe or _recipe_ref(project, section.recipe))
    if request.budget_minutes is not None:
        recipe = _timed(recipe, request.budget_minutes)
    asked = request.calibration_samples
    samples = section.calibration_samples if asked is None else asked
    return recipe if samples is None else replace(recipe, calibration_samples=samples)


def _timed(recipe: Recipe, minutes: float) -> Recipe:
    if recipe.search is None:
        message = f"the recipe {recipe.name} does not search"
        raise ConfigError(message, place="--budget-minutes", hint="it goes with --recipe auto")
    check_minutes(minutes, "--budget-minutes")
    return replace(recipe, search=replace(recipe.search, budget_minutes=minutes))


def _recipe_ref(project: Project | None, ref: str) -> str:
    return ref if ref in BUILT_IN or project is None else str(project.path(ref))

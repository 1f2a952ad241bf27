"""Old names of modules that have moved. Notebooks saved before `catdog.notebook` existed import them.

To be removed when `catdog.API` next changes.
"""

import importlib
import importlib.abc
import importlib.machinery
import operator
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_PACKAGE = __name__.rpartition(".")[0]
# Old module → the modules that hold its content now.
_NOW = {
    "applications": "backbones.keras_applications",
    "archives": "data.archives",
    "backbone": "backbones.architectures",
    "backend.access": "backend.auth",
    "backend.clients": "backend.rates",
    "backend.deadline": "backend.batching",
    "backend.following": "backend.hot_reload",
    "backend.memory": "backend.malloc",
    "backend.origins": "backend.app",
    "backend.visits": "backend.request_log",
    "bundle": "models.bundle",
    "card": "models.card",
    "class_folders": "data.class_folders",
    "classifier": "models.classifier",
    "colab": "notebook.colab packages",
    "compact": "models.pruned",
    "compacting": "training.pruned_models",
    "comparison": "training.comparison",
    "confidence": "training.calibration",
    "corrections": "curation.corrections",
    "dataset": "data.dataset",
    "decisions": "curation.decisions",
    "doctor": "curation.data_issues",
    "drawings": "data.synthetic",
    "engines.choice": "engines.selection",
    "engines.compact": "engines.pruned",
    "engines.proof": "engines.parity",
    "engines.twin": "engines.int8 engines.quantization",
    "evaluation": "training.metrics",
    "explanation": "models.grad_cam",
    "export": "models.keras_export",
    "export_examples": "models.export_examples",
    "export_formats": "models.export_formats",
    "export_metadata": "models.export_metadata",
    "exports": "models.export",
    "familiarity": "models.ood",
    "features": "training.features",
    "feedback": "data.feedback",
    "figures": "notebook.plots",
    "folders": "data.folders",
    "frameworks": "quiet_keras",
    "frontend.notebook": "notebook.page_preview",
    "head": "models.head",
    "headless": "notebook.runner",
    "images": "data.images",
    "inspection": "data.inspection",
    "judging": "training.evaluation",
    "keras_files": "models.keras_files",
    "known_sets": "data.known_sets",
    "label_tables": "data.label_tables",
    "labels": "data.labels",
    "layout": "data.layout",
    "layout_reader": "data.layout_reader",
    "learning_curve": "training.learning_curve",
    "lettering": "notebook.lettering",
    "link": "web.link",
    "lite0": "backbones.lite0",
    "lite0_weights": "backbones.lite0_weights",
    "near_copies": "training.near_duplicates",
    "network": "backbones.keras_model",
    "network_comparison": "training.backbone_comparison",
    "panel": "notebook.link_panel",
    "pictures": "data.pictures",
    "places": "paths settings files machine notebook.colab",
    "preprocessing": "data.preprocessing",
    "processors": "machine",
    "proving": "training.engine_selection",
    "pruning.chain": "pruning.vgg16_layers",
    "pruning.importance": "pruning.sensitivity",
    "pruning.moments": "pruning.statistics",
    "publishing": "models.writer",
    "receiving": "web.request_limits",
    "salvage": "data.salvage",
    "saving": "training.save",
    "scale": "distributed",
    "scale.cluster": "distributed.cluster",
    "scale.features": "distributed.features",
    "scale.fitting": "distributed.train",
    "scale.labelling": "distributed.label",
    "scale.layout": "data.layout",
    "scale.sending": "distributed.model_transfer",
    "scale.serving": "distributed.serve",
    "scale.storage": "distributed.storage",
    "scale.tables": "distributed.parquet_table",
    "serving": "web.server",
    "settings": "notebook.settings",
    "significance": "statistics",
    "sources": "data.sources",
    "splitting": "data.splitting",
    "stored": "models.arrays",
    "table_files": "data.table_files",
    "torch_file": "backbones.torch_file",
    "training": "training.linear_head",
    "trial": "notebook.smoke_test",
    "tuning": "training.last_block",
    "tunnels.agent": "tunnels.flask_ngrok",
    "tunnels.connection": "tunnels.base",
    "tunnels.preview": "tunnels.local",
    "tunnels.tunnel": "tunnels.watchdog",
    "unfreezing": "training.fine_tuning",
    "unpacking": "data.unpacking",
    "weight_sources": "backbones.weight_sources",
    "weights": "backbones.vgg16_weights",
}


# Renamed objects; before a colon, the one module that holds it now.
_CALLED_NOW = {
    ("backend.following", "follow"): "watch",
    ("backend.following", "unfollow"): "stop_watching",
    ("backend.visits", "VISITS"): "REQUESTS",
    ("compacting", "compact_twins"): "training.earlier_calls:compact_twins",
    ("confidence", "fit_confidence"): "calibrate",
    ("doctor", "examine"): "find_issues",
    ("features", "FeatureStore"): "FeatureCache",
    ("figures", "dial"): "trade_off",
    ("judging", "judge"): "training.earlier_calls:judge",
    ("proving", "Engines"): "EngineSelection",
    ("saving", "save_model"): "training.earlier_calls:save_model",
    ("trial", "ask"): "predict",
    ("unfreezing", "unfrozen"): "fine_tuned",
}
# Renamed members, by class.
_MEMBERS_NOW = {
    "curation.corrections:Corrections": {"settle": "process", "join": "merge_into"},
    "curation.decisions:Decisions": {"take": "record"},
    "data.dataset:Dataset": {"left_out_table": "excluded_table", "drawings": "synthetic"},
}


class _Old(ModuleType):
    """A module under its old name, which looks its content up in the new place."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__path__ = []  # submodules have old names, too

    def __getattr__(self, name: str):
        return look_up(self.__name__.removeprefix(f"{_PACKAGE}."), name)


def look_up(old: str, name: str):
    """Return what the module `old` held under `name`. Raises AttributeError if it no longer exists."""
    module, _, name = _CALLED_NOW.get((old, name), name).rpartition(":")
    if not name.startswith("__"):
        for now in (module or _NOW[old]).split():
            found = importlib.import_module(f"{_PACKAGE}.{now}")
            _keep_old_members(now, vars(found))
            if name in vars(found):
                return vars(found)[name]
    raise AttributeError(f"catdog.{old} no longer has {name}: open a new copy of the notebook from the repository.")


def _keep_old_members(module: str, found: Mapping[str, Any]) -> None:
    for place, members in _MEMBERS_NOW.items():
        holder, _, kind = place.partition(":")
        for old, now in members.items() if holder == module else ():
            setattr(found[kind], old, property(operator.attrgetter(now)))


class _OldNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path=None, target=None) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.partition(".")
        return importlib.machinery.ModuleSpec(fullname, self) if package == _PACKAGE and name in _NOW else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Old(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def keep_old_names() -> None:
    """Let old module names be imported. Modules that exist take precedence."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())

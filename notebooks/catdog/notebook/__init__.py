"""The notebooks' interface. They import everything from here, and nothing from anywhere else.

These names stay as they are, for notebooks that people have saved; the code behind them may move. Each is loaded when
it is first used, so that notebook 3 never loads what trains.
"""

import sys
from importlib import import_module

# By notebook, in the order of its cells: a name, and its module. After a colon: its name there, if that differs, or
# nothing for the module itself.
PUBLIC = {
    # all three
    "set_up": "notebook.colab:set_up_for",
    "read_settings": "notebook.settings",
    # 1 · fine-tune: photos
    "find_photos": "data.sources",
    "describe_layout": "data.dataset",
    "list_photos": "data.dataset",
    "Preprocessing": "data.preprocessing",
    "plots": "notebook.plots:",
    "load_backbone": "backbones.architectures",
    "FeatureCache": "training.features",
    "check": "data.dataset",
    "Review": "curation.review",
    "Decisions": "curation.decisions",
    "gpu_hint": "notebook.colab",
    "Corrections": "curation.corrections",
    "suggestions_table": "curation.decisions:table",
    "NONE_OF_THESE": "data.folders",
    # 1 · fine-tune: training
    "EngineSelection": "training.engine_selection",
    "features_by_split": "training.features",
    "find_issues": "curation.data_issues",
    "uneven_classes": "curation.data_issues",
    "fine_tuned": "training.fine_tuning",
    "compute_features": "training.features",
    "train_head": "training.trained_head",
    "learning_curve": "training.learning_curve",
    "judge": "training.evaluation",
    "worst_mistakes": "training.metrics",
    # 1 · fine-tune: saving, and what is off by default
    "compare_networks": "training.backbone_comparison",
    "networks_table": "training.backbone_comparison:table",
    "compare": "training.comparison",
    "versions_on": "training.versions",
    "prune": "training.pruned_models",
    "save_model": "training.save",
    "export_model": "models.export:export",
    "exports_table": "models.export:table",
    "export_site": "site.export",
    "keep_version": "models.housekeeping",
    "release_version": "models.housekeeping",
    "delete_version": "notebook.versions",
    "outlasting": "paths",
    "label": "distributed.label",
    "install_for_scale": "packages",
    # 2 · backend
    "versions_table": "models.listing",
    "read_model": "models.bundle:read_newest",
    "serve_model": "notebook.service",
    "photo_or_drawing": "notebook.smoke_test",
    # 2 · backend, one by one, for notebooks saved before `serve_model`
    "parse_limits": "backend.limits",
    "Feedback": "data.feedback",
    "REQUESTS": "backend.request_log",
    "create_app": "backend.app",
    "start": "backend.app",
    "load_classifier": "models.classifier",
    "set_model": "backend.app",
    "watch_model": "backend.hot_reload:watch",
    "stop_watching": "backend.hot_reload",
    "open_tunnel": "tunnels",
    "close_tunnel": "tunnels",
    "show_panel": "notebook.link_panel",
    "predict": "notebook.smoke_test",
    "stop": "web.server",
    # 3 · frontend
    "backend_state": "notebook.page_preview",
    "serve_page": "notebook.served_page",
    "open_for_editing": "notebook.page_preview",
    # 3 · frontend, one by one, for notebooks saved before `serve_page`
    "require_backend_for": "notebook.page_preview",
    "create_page_app": "frontend.page",
    "serve": "web.server",
    "told_page": "notebook.page_preview",
    "show_page": "notebook.page_preview",
}
__all__ = list(PUBLIC)


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    from .cell_errors import explain_errors

    explain_errors(_shell)  # with the first import, so that every cell run too early says so


def __getattr__(name: str):
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, colon, attribute = PUBLIC[name].partition(":")
    found = import_module(f"{__name__.partition('.')[0]}.{module}")
    return found if colon and not attribute else getattr(found, attribute or name)


def __dir__() -> list[str]:
    return sorted(PUBLIC)

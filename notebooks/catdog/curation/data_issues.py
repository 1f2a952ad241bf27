"""Find likely problems of a dataset with CleanVision and cleanlab. The user decides what to do about them."""

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager
from scipy.stats import binomtest

from .. import files, paths
from ..data.dataset import Dataset, Photo
from ..data.folders import SPLITS, TRAIN
from ..data.images import as_picture
from ..data.prepared import prepared
from ..data.preprocessing import PREPROCESSING
from ..machine import processors, thread_pool
from ..names import listed
from ..progress import bar
from ..training.linear_head import cross_validated
from ..training.near_duplicates import near_copies
from .decisions import KEEP, OUT, Decisions, Suggestion

_UNEVEN = 3  # ratio of the largest class to a small one that is worth a warning
_SURE = 0.8  # probability of another class from which that class is suggested
_LOOKS = {"low_information": "almost blank", "dark": "very dark", "light": "very bright", "blurry": "blurry"}
_SUGGESTED = {"low_information": OUT}


def find_issues(
    dataset: Dataset, data: dict[str, tuple[np.ndarray, np.ndarray]], decisions: Decisions
) -> list[Suggestion]:
    """Return the problems of single photos that the user has not decided on yet. It takes seconds with cached features.

    Args:
        data: from `features.features_by_split`, for `dataset`.
    """
    photos = [photo for split in SPLITS for photo in dataset.of(split)]
    features, targets = (np.concatenate(parts) for parts in zip(*(data[split] for split in SPLITS)))
    alike = list(_near_duplicates(photos, features))
    found = [
        one for one in alike if one.duplicate_of and one.photo.split != one.duplicate_of.split
    ]  # leakage between splits comes first
    found += _wrong_labels(photos, features, targets, dataset.classes)
    found += [*alike, *_odd_looks(photos, _looks(photos))]
    once: dict[str, Suggestion] = {}
    for one in found:  # only the first problem of each photo
        once.setdefault(one.photo.digest, one)
    return [one for one in once.values() if one.photo not in decisions]


def uneven_classes(dataset: Dataset) -> str:
    """Name in sentences the classes with far fewer training photos than others, and those with a single photo.

    Returns an empty string if there are none.
    """
    counts = dataset.counts()[TRAIN]
    most = max(counts.values())
    few = [f"{label} ({count:,})" for label, count in counts.items() if _UNEVEN * count <= most]
    single = [label for label, count in Counter(photo.label for photo in dataset.photos).items() if count == 1]
    told = [f"Few training photos of {listed(few)}, compared with {most:,} of another class: add more."] if few else []
    told += [f"Labels cannot be checked in classes with a single photo: {listed(single)}."] if single else []
    return "\n".join(told)


def _wrong_labels(
    photos: Sequence[Photo], features: np.ndarray, targets: np.ndarray, classes: Sequence[str]
) -> Iterator[Suggestion]:
    """Yield likely wrong labels, the least plausible first, by confident learning (Northcutt et al. 2021,
    https://arxiv.org/abs/1911.00068)."""
    probabilities = cross_validated(features, targets, len(classes))
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    if not _tells_them_apart(probabilities[judged], targets[judged]):
        return
    with warnings.catch_warnings(action="ignore"):  # about classes without predictions
        order = find_label_issues(
            targets[judged], probabilities[judged], return_indices_ranked_by="self_confidence", n_jobs=1
        )
    for number in judged[order]:
        best = int(probabilities[number].argmax())
        share = float(probabilities[number][best])
        why = f"probably not a {classes[targets[number]]} but a {classes[best]} ({share:.0%})"
        yield Suggestion(photos[number], why, classes[best] if share >= _SURE else KEEP)


def _tells_them_apart(probabilities: np.ndarray, targets: np.ndarray) -> bool:
    """Tell whether the predictions are significantly better than always the commonest class. Otherwise they say nothing
    about labels."""
    if len(set(targets.tolist())) < 2:
        return False
    right, commonest = int((probabilities.argmax(axis=1) == targets).sum()), int(np.bincount(targets).max())
    return binomtest(right, len(targets), commonest / len(targets), "greater").pvalue < 0.05


def _near_duplicates(photos: Sequence[Photo], features: np.ndarray) -> Iterator[Suggestion]:
    """Yield each photo that is nearly identical to one before it, in the order test, validation, training photos."""
    order = sorted(range(len(photos)), key=lambda number: -SPLITS.index(photos[number].split))
    for place, likest in near_copies(features[order]):
        photo, other = photos[order[place]], photos[order[likest]]
        why = f"nearly identical to {other.path.name} in {other.split}"
        why += f", which is a {other.label}" if photo.label != other.label else ""
        harmless = (photo.split, photo.label) == (other.split, other.label)
        yield Suggestion(photo, why, KEEP if harmless else OUT, other)


def _looks(photos: Sequence[Photo]) -> pd.DataFrame:
    """Return CleanVision's measurements by digest. They are cached, since they take a fifth of the network's time."""
    path = paths.cache_file("looks", f"{PREPROCESSING.version} cleanvision", ".json")
    known = files.read_json(path)
    missing = [photo for photo in photos if photo.digest not in known]
    if missing:
        kept = f"Measuring image quality ({len(photos) - len(missing):,} kept)"
        with thread_pool(processors()) as pool:
            looked = bar(pool.map(_look, missing), what=kept, unit="photos", total=len(missing))
            known |= {photo.digest: look for photo, look in zip(missing, looked, strict=True)}
        files.write_if_possible(path, lambda file: file.write(json.dumps(known).encode()))
    return pd.DataFrame.from_dict({photo.digest: known[photo.digest] for photo in photos}, orient="index")


def _look(photo: Photo) -> dict[str, float]:
    """Measure the preprocessed photo; CleanVision itself reduces it to 64 pixels to detect blur."""
    image = as_picture(prepared(photo.path, photo.digest, PREPROCESSING))
    found: dict[str, float | str] = {}
    looks = ImagePropertyIssueManager().image_properties
    for kind in _LOOKS:
        found |= looks[kind].calculate(image)
    return {name: round(float(value), 6) for name, value in found.items()}


# CleanVision flags none of 100 sharp photos as blurry, and 46 of them when they are blurred over 4 of 224 pixels.
def _odd_looks(photos: Sequence[Photo], looks: pd.DataFrame) -> Iterator[Suggestion]:
    manager = ImagePropertyIssueManager()
    for kind, words in _LOOKS.items():
        look, params = manager.image_properties[kind], manager.params[kind]
        scores = look.get_scores(looks, kind, **params)
        odd = look.mark_issue(scores, kind, params["threshold"])[f"is_{kind}_issue"]
        yield from (Suggestion(photo, words, _SUGGESTED.get(kind, KEEP)) for photo in photos if odd[photo.digest])

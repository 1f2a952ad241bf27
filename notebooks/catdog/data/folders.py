"""A tree of folders with photos, and the meaning of folder and file names."""

import errno
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from ..names import printable, same

TRAIN, VALID, TEST = SPLITS = ("train", "valid", "test")
UNLABELLED = "unlabelled"
NONE_OF_THESE = "none-of-these"  # the folder of photos that are none of the classes

_SPLIT_WORDS = {
    TRAIN: "train training trn trainval entrainement apprentissage entrenamiento treino 训练 訓練 학습 훈련",
    VALID: "val valid validation validate dev development eval evaluation validierung validacion 验证 検証 검증",
    TEST: "test testing tests tst holdout prueba teste 测试 測試 テスト 시험",
    UNLABELLED: "pred predict prediction predictions unlabeled unlabelled unlabel inference submission",
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words.split()}
_AROUND = (
    "seg|public|private|data|dataset|daten|datas|sets?|images?|imgs?|photos?|pictures?|pics?|folder|files?|split|集|用"
)
_NOISE = frozenset({"jpg", "jpeg", "png", "tif", "v", "t", "z"})

# Folders that programs and file servers create for themselves. They hold no photos of a user.
_PROGRAMS = re.compile(
    r"\..*|[@#~$]\w*?(ea ?dir|recycle|snapshot|te?mp|thumb|syno|trash|cache|share ?bin|appstore|database).*|@__.*|"
    r"~.*\.tmp|__MACOSX|__pycache__|lost\+found|System Volume Information|RECYCLER|Thumbs",
    re.IGNORECASE,
)
# Folder names for photos, and for what data sets keep beside them. Two such folders are not two classes.
_OF_PHOTOS = re.compile(
    r"(jpeg|png|rgb|raw|color|original)?[ _-]*(images?|imgs?|photos?|pictures?|pics?)", re.IGNORECASE
)
_BESIDE_PHOTOS = re.compile(
    r"(ann?otations?|annots?|(ground ?truth|gt|segmentation|seg)?[ _-]*(masks?|labels?|maps?)|trimaps?|segmentation\w*|"
    r"image ?sets?|xmls?|bboxes|boxes|thumbs?|thumbnails?|meta ?(data)?|lists?|splits?|docs?|scripts?)",
    re.IGNORECASE,
)
UNNAMED = re.compile(
    r"(new|untitled) folder( ?\(?\d+\)?)?|neuer ordner.*|nouveau dossier.*|新しいフォルダー?", re.IGNORECASE
)
FILES_OF_PROGRAMS = re.compile(r"\..*|Thumbs\.db|desktop\.ini|Icon\r", re.IGNORECASE)
_TEXTS = re.compile(r"licen[cs]e|readme|copying|authors|contributing|makefile|dockerfile|notice", re.IGNORECASE)
_OTHER_ENDINGS = """
    txt csv tsv json jsonl ndjson xml md html htm pdf mat npy npz pkl pickle py ipynb zip tar gz tgz bz2 xz 7z rar db
    ini yaml yml log mp4 mov avi mkv mp3 wav doc docx xls xlsx ods ppt pptx h5 hdf5 pt pth onnx tfrecord lnk url exe aae
    xmp thm names cfg data license parquet sh bat yaml toml css js svg
"""
_NO_PHOTOS = frozenset(_OTHER_ENDINGS.split())


def is_none_of_these(label: str) -> bool:
    """Tell whether this folder name means photos of none of the classes: `NONE_OF_THESE`, or "None of these"."""
    return re.sub("[ _]+", "-", same(label)) == NONE_OF_THESE


def is_of_a_program(name: str) -> bool:
    """Tell whether a program, not a user, creates folders of this name."""
    return bool(_PROGRAMS.fullmatch(name))


def split_named(name: str, but: Collection[str] = ()) -> str | None:
    """Return `TRAIN`, `VALID`, `TEST` or `UNLABELLED` for a folder named after it, such as `Train_data` or `seg_test`.

    Words in `but` are ignored.
    """
    left = [word for word in map(_bare, _words(name)) if word and word not in but]
    return _SPLIT_OF.get(left[0]) if len(left) == 1 else None


def splits_named(names: Iterable[str]) -> dict[str, str]:
    """Return folder → split for those of these sibling folders that are named after a split.

    Ignore parts with numbers, and words that all names share, as in `asl_alphabet_train` and `asl_alphabet_test`.
    """
    names = list(names)
    plain = {name: split for name in names if (split := split_named(name))}
    if len(plain) == len(names) or len(names) < 2:
        return plain
    shared = set.intersection(*({_bare(word) for word in _words(name)} for name in names)) - _SPLIT_OF.keys()
    without_numbers = {name: re.sub(r"[^\W_]*\d[^\W_]*", " ", name) for name in names}
    found = {name: split for name, text in without_numbers.items() if (split := split_named(text, shared | _NOISE))}
    return found if len(found) == len(names) and TRAIN in found.values() else plain


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    plain = "".join(c for c in unicodedata.normalize("NFKD", spaced) if not "\u0300" <= c <= "\u036f")
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", plain).casefold())


def _bare(word: str) -> str:
    """Remove filler words: `trainingset` → `training`, `images` → an empty string."""
    if word in _SPLIT_OF:
        return word
    cut = re.sub(rf"^({_AROUND})+|({_AROUND})+$", "", word)
    return cut if not cut or cut in _SPLIT_OF else word


def may_be_a_photo(name: str) -> bool:
    """Tell by its name whether a file may be a photo, to find the layout; its content decides later."""
    if "." not in name:
        return not _TEXTS.fullmatch(name)
    return name.rpartition(".")[2].lower() not in _NO_PHOTOS


def list_files(root: Path) -> list[str]:
    """Return the paths of `files_below`, sorted."""
    return sorted(files_below(root))


def files_below(root: Path) -> Iterator[str]:
    """Yield paths below `root`, "/" between names; an empty folder's path ends in "/". Follow links, but no cycles.

    Raises UserError if a folder cannot be listed.
    """
    try:
        yield from _files_below(os.fspath(root), "", frozenset())
    except OSError as error:
        raise UserError(
            "folder-unusable",
            f"{printable(error.filename or root)} cannot be listed ({error.strerror}): the disk or Drive may be "
            "disconnected. Run this cell again.",
        ) from error


@contextmanager
def _tolerated(name: str) -> Iterator[None]:
    """Suppress the errors of a link to itself, and of a folder that a program has locked for itself."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ELOOP and not (error.errno in (errno.EACCES, errno.EPERM) and is_of_a_program(name)):
            raise


def _files_below(folder: str, path: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    state = os.stat(folder)
    here = (state.st_dev, state.st_ino)
    if here in above:
        return
    is_empty = True
    for entry in list(os.scandir(folder)):
        with _tolerated(entry.name):
            if entry.is_dir():
                for file in _files_below(entry.path, f"{path}{entry.name}/", above | {here}):
                    is_empty = False
                    yield file
            elif entry.is_file():
                is_empty = False
                yield f"{path}{entry.name}"
    if is_empty and path:
        yield path


class Folder:
    """A folder: its subfolders, and the number of photos and of other files directly in it."""

    __slots__ = ("folders", "others", "photos")

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self.photos = self.others = 0

    @property
    def total(self) -> int:
        return self.photos + sum(folder.total for folder in self.folders.values())

    @property
    def files(self) -> int:
        return self.photos + self.others + sum(folder.files for folder in self.folders.values())

    @property
    def inner(self) -> dict[str, "Folder"]:
        return {name: folder for name, folder in sorted(self.folders.items()) if folder.total}


def tree_of(paths: Iterable[str]) -> tuple[Folder, Counter[str]]:
    """Return (the tree of users' folders, folders created by programs → number of files in them)."""
    root = Folder()
    of_programs: Counter[str] = Counter()
    for path in paths:
        *names, file = path.split("/")
        depth = next((depth for depth, name in enumerate(names) if is_of_a_program(name)), None)
        if depth is not None:
            of_programs["…/" * bool(depth) + names[depth]] += bool(file)
            continue
        folder = root
        for name in names:
            folder = folder.folders.setdefault(name, Folder())
        if file and not FILES_OF_PROGRAMS.fullmatch(file):
            may_be = may_be_a_photo(file)
            folder.photos += may_be
            folder.others += not may_be
    return root, of_programs


def below_wrappers(path: str, folder: Folder) -> tuple[str, Folder]:
    """Descend through folders that only wrap everything, as archives often have; return the (path, folder) inside.

    A wrapper has subfolders, and fewer photos beside it (such as a cover) than in it.
    """
    while len(folder.inner) == 1:
        ((name, only),) = folder.inner.items()
        if not only.inner or folder.photos >= only.total:
            break
        path, folder = joined(path, name), only
    return path, folder


def beside_photos(folder: Folder) -> list[str]:
    """Return the names of folders that accompany a folder of photos, such as annotations beside `images`."""
    names = list(folder.inner)
    return [name for name in names if _BESIDE_PHOTOS.fullmatch(name)] if any(map(_OF_PHOTOS.fullmatch, names)) else []


def with_photos(path: str, folder: Folder) -> Iterator[tuple[str, Folder]]:
    if folder.photos:
        yield path, folder
    for name, kid in folder.inner.items():
        yield from with_photos(joined(path, name), kid)


def joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def is_photo(path: str) -> bool:
    file = path.rpartition("/")[2]
    return bool(file) and may_be_a_photo(file) and not FILES_OF_PROGRAMS.fullmatch(file)


def is_archive(path: str) -> bool:
    return path.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"))


def labels_below(folder: Folder) -> set[str]:
    """Return the names of subfolders, also one level deeper: a copy of everything may be beside the splits."""
    return {same(name) for name in folder.inner} | {same(n) for kid in folder.inner.values() for n in kid.inner}


def is_a_copy_of(kid: Folder, names: Collection[str]) -> bool:
    """Tell whether `kid`, apart from wrapper folders, contains only folders of these names."""
    inner = {same(name) for name in below_wrappers("", kid)[1].inner}
    return len(inner) > 1 and inner <= {same(name) for name in names}


def is_split_in_itself(kid: Folder) -> bool:
    splits = {split_named(name) for name in kid.inner}
    return TRAIN in splits and splits <= set(SPLITS)


def repeated_below(folders: Iterable[Folder]) -> list[str]:
    """Return the names of subfolders that occur in more than one of `folders`."""
    inner = [below_wrappers("", folder)[1].inner for folder in folders]
    seen = Counter(same(name) for names in inner for name in names)
    spelt = {same(name): name for names in inner for name in names}
    return [spelt[key] for key, count in seen.items() if count > 1 and not _OF_PHOTOS.fullmatch(spelt[key])]


def tree_in_lines(root: Folder, paths: Iterable[str], most: int = 20) -> list[str]:
    """Return one line for each folder below `root`, two levels deep, and for each archive among `paths`."""
    path, root = below_wrappers("", root)
    lines = [f"  {printable(path) or '.'}/  {root.photos:,} photos"] if root.photos or path else []
    for name, kid in root.inner.items():
        shown = printable(name)
        lines.append(f"  {shown}/  {kid.photos:,} photos")
        lines += [f"  {shown}/{printable(below)}/  {one.total:,} photos" for below, one in kid.inner.items()]
    lines += [f"  {printable(path)}" for path in paths if is_archive(path)][:5]
    return [*lines[:most], *(["  …"] if len(lines) > most else [])]

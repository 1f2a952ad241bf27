"""Hot reload: a newer version of the model takes over while the service runs; an earlier one returns on demand."""

import itertools
import threading
import time
from datetime import datetime
from pathlib import Path

from apiflask import APIFlask

from ..engines.selection import AUTO
from ..errors import UserError, first_line
from ..models import bundle
from ..models.bundle import Bundle, BundleRefused
from ..models.classifier import Classifier, load_classifier
from ..names import listed
from .app import set_model
from .service import Answerer, service_of

_RETRY_SECONDS = 60
_watching: "ModelWatcher | None" = None


class ModelWatcher:
    """The versions of the model that an app serves.

    While one version serves, a newer one is read, checked, and replays its golden photos. Only then does it take over,
    from the next request on. If anything is wrong with it, the one that serves goes on.

    Args:
        wanted: as in `bundle.find`. A version or a folder is pinned: no other takes over by itself. Otherwise newer
            versions of the model take over if they have the same classes. A version with other classes or, if `wanted`
            is empty, of another model waits for `take_over`.
        engine: as in `classifier.load_classifier`.
    """

    def __init__(self, app: APIFlask, wanted: str = "", engine: str = AUTO):
        self._app, self._engine = app, engine
        self._name = wanted and self.serving.folder.parent.name  # its versions may take over, or wait
        self._waiting: Bundle | None = None
        self._known = {self.serving.folder}  # versions that are not tried again
        self._later: dict[Path, float] = {}  # when to retry those that failed for a temporary reason
        self._before: list[Path] = []
        self._refused: dict[Path, str] = {}
        self._since = datetime.now()
        self._one_at_a_time, self._ended = threading.Lock(), threading.Event()
        self.pinned = "/" in wanted

    @property
    def _answerer(self) -> Answerer:
        model = service_of(self._app).model
        assert model is not None  # an app that is watched has one
        return model.classifier

    @property
    def serving(self) -> Bundle:
        return self._answerer.bundle

    @property
    def waiting(self) -> Bundle | None:
        """The version that waits for `take_over`, unless it has been deleted since."""
        return self._waiting if self._waiting and self._waiting.folder.exists() else None

    def poll(self) -> bool:
        """Look for a newer version once. Returns whether one took over."""
        with self._one_at_a_time:
            self._refused = {folder: why for folder, why in self._refused.items() if folder.exists()}
            newer = self._newer()
            for place, folder in enumerate(newer):
                if self._took_over(folder):
                    # Older ones are out of date; newer ones may still be arriving.
                    self._known.update(newer[place:])
                    return True
            return False

    def _newer(self) -> list[Path]:
        """Return the versions to try, newest first."""
        now = bundle.age(self.serving.folder)
        newer = itertools.takewhile(lambda folder: bundle.age(folder) > now, bundle.versions(self._name))
        due = time.monotonic()
        return [folder for folder in newer if folder not in self._known and self._later.get(folder, due) <= due]

    def _took_over(self, folder: Path) -> bool:
        try:
            found = bundle.read(folder)  # from Drive, a version may arrive file by file: it is read again
            self._known.add(folder)
            self._refused.pop(folder, None)
            if not self._has_our_subject(found):
                self._waiting = max(self.waiting or found, found, key=lambda one: bundle.age(one.folder))
                return False
            self._take_over(found)
        except BundleRefused as refusal:
            self._note_refusal(folder, str(refusal))
            return False
        except Exception as error:  # one version's error must not hide another version, and may be temporary
            self._known.discard(folder)
            self._later[folder] = time.monotonic() + _RETRY_SECONDS
            is_told = isinstance(error, UserError)
            self._note_refusal(folder, str(error) if is_told else f"{folder} cannot be used: {first_line(error)}.")
            return False
        return True

    def _has_our_subject(self, found: Bundle) -> bool:
        ours = self.serving
        return found.folder.parent.name == ours.folder.parent.name and set(found.classes) == set(ours.classes)

    def take_over(self) -> None:
        """Serve the version that waits because its model or classes differ. Raises UserError if none waits."""
        with self._one_at_a_time:
            waiting = self.waiting
            if waiting is None:
                raise UserError("version-none-waiting", f"No other version waits: {self.serving.id} goes on.")
            self._take_over(waiting)

    def roll_back(self) -> None:
        """Serve the version served before, or else the next older one. The present one does not return by itself.

        Raises UserError if none can be served.
        """
        with self._one_at_a_time:
            left = self.serving.folder
            earlier = list(dict.fromkeys([*reversed(self._before), *bundle.earlier(left)]))
            for folder in earlier:
                try:
                    found = bundle.read(folder)
                    if folder not in self._before and not self._has_our_subject(found):
                        continue
                    self._take_over(found)
                except UserError as refusal:
                    self._note_refusal(folder, str(refusal))
                    continue
                self._before = [before for before in self._before if before not in (folder, left)]
                self._known |= {folder, left}
                return
            raise UserError(
                "version-no-earlier", f"There is no version before {self.serving.id} that can be served: it goes on."
            )

    def start(self, seconds: float) -> None:
        """Look for newer versions every `seconds`, in the background, until `stop`."""
        threading.Thread(target=self._run, args=(seconds,), name="versions", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def __str__(self) -> str:
        lines = [f"{self.serving.id} has been serving since {self._since:%H:%M:%S}."]
        if self.pinned:
            lines.append("MODEL names this very version: no newer one takes over.")
        elif not self._ended.is_set():
            lines.append("A newer one takes over within seconds of being saved.")
        waiting = self.waiting
        if waiting:
            others = listed(waiting.classes)
            lines.append(f"A newer version waits: {waiting.id}, with the classes {others}. Set TAKE_OVER to serve it.")
        return "\n".join(lines + [f"Not taken: {why}" for why in self._refused.values()])

    def _repr_pretty_(self, printer, cycle) -> None:
        printer.text(str(self))

    def _run(self, seconds: float) -> None:
        told = ""
        while not self._ended.wait(seconds):
            try:
                self.poll()
                told = ""
            except Exception as error:  # Drive may be gone for a while, say: the next look may succeed
                if str(error) != told:
                    self._app.logger.exception("looking for a newer model broke")
                told = str(error)

    def _take_over(self, found: Bundle) -> None:
        now = self._answerer
        ours = now if isinstance(now, Classifier) else None  # other answerers have no engine to share
        set_model(self._app, load_classifier(found, self._engine, reuse_engine_of=ours, say=self._app.logger.info))
        self._before.append(now.bundle.folder)
        self._since, now_serving = datetime.now(), bundle.age(found.folder)
        self._refused = {folder: why for folder, why in self._refused.items() if bundle.age(folder) > now_serving}
        if self._waiting and bundle.age(self._waiting.folder) <= bundle.age(found.folder):
            self._waiting = None

    def _note_refusal(self, folder: Path, why: str) -> None:
        if self._refused.get(folder) != why:
            self._app.logger.warning("model refused", extra={"facts": {"why": why}})
        self._refused[folder] = why


def watch(app: APIFlask, wanted: str = "", engine: str = AUTO, seconds: float = 5) -> ModelWatcher:
    """Watch for newer versions of what `app` serves, unless one is pinned. Only one app is watched at a time.

    Args:
        wanted, engine: as for `ModelWatcher`.
        seconds: between two looks for a newer version.
    """
    global _watching
    stop_watching()
    _watching = ModelWatcher(app, wanted, engine)
    if not _watching.pinned:
        _watching.start(seconds)
    return _watching


def stop_watching() -> None:
    """Stop what `watch` started, if anything."""
    if _watching:
        _watching.stop()

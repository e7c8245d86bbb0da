"""A store whose files are read once: a report asks each trial for its result and scores a dozen times."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from i2ibench.store import Store, Trial


class Once(Store):
    """Answers as another store does, and remembers the answers.

    What thousands of trials say alike (provenance, protocol stamps) is kept once.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.path)
        self._store = store
        self._trials: dict[str, Trial] = {}
        self._alike: dict[str, Any] = {}

    def trial(self, trial_id: str) -> Trial:
        if trial_id not in self._trials:
            self._trials[trial_id] = self._remembering(self._store.trial(trial_id))
        return self._trials[trial_id]

    def _remembering(self, trial: Trial) -> Trial:
        result, scores, state, per_image = trial.result, trial.scores, trial.state, trial.per_image
        # On the object, over its methods: `state` asks for the others too.
        trial.result = cache(lambda: self._shared(result(), "provenance"))  # type: ignore[method-assign]
        trial.scores = cache(lambda key: self._shared(scores(key), "protocol"))  # type: ignore[method-assign]
        trial.error = cache(trial.error)  # type: ignore[method-assign]
        trial.state = cache(lambda key, metrics=(): state(key, metrics))  # type: ignore[assignment, method-assign]
        trial.per_image = cache(lambda key: per_image(key))  # type: ignore[method-assign]
        return trial

    def _shared(self, content: dict[str, Any] | None, part: str) -> dict[str, Any] | None:
        if content is not None and part in content:
            content[part] = self._alike.setdefault(json.dumps(content[part], sort_keys=True), content[part])
        return content

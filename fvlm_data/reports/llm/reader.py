"""The reader that asks the model, once for each distinct text."""

from __future__ import annotations

import json
import logging
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any

from fvlm_data.hashing import content_key
from fvlm_data.reports.language.decisions import MODEL
from fvlm_data.reports.language.records import FindingMention, Verdict
from fvlm_data.reports.llm.answer import (
    PROMPT_VERSION,
    MalformedAnswerError,
    Verified,
    applied,
    messages,
    schema,
    verified,
)
from fvlm_data.reports.llm.client import LlmClient, NoAnswerError
from fvlm_data.reports.llm.reading import ReportReading

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.reports.language.parsed import ParsedReport
    from fvlm_data.reports.language.parser import ReportParser
    from fvlm_data.reports.llm.config import LlmConfig

log = logging.getLogger(__name__)

_ASKED_AGAIN = 2
"""Times that the model is asked where its answer is no JSON of the schema."""


class LlmReader:
    """Reads scrubbed reports through the model; the first answer to a text is kept and used.

    What is kept are offsets and ids, no text.
    """

    def __init__(
        self,
        config: LlmConfig,
        parser: ReportParser,
        stored: Callable[[str], bytes | None],
        client: LlmClient | None = None,
    ) -> None:
        """Use `client`, or one of its own for the configured endpoint.

        `stored` gives the answer that is kept at a path of the store, or none.
        """
        self._model = config.model
        self._parser = parser
        self._vocabulary = parser.vocabulary
        self._stored = stored
        self._client = client or LlmClient(config)
        self._parsing = Lock()
        self._asking: dict[str, Lock] = {}
        self._answers: dict[str, Verified] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, text: str) -> ReportReading:
        """Take one scrubbed report apart.

        Raises:
            NoAnswerError: the endpoint gives no usable answer.
            EndpointRefusesError: the endpoint refuses the request as such.
        """
        with self._parsing:
            base = self._parser.parse(text)
        path = self._path(text)
        with self._asking.setdefault(path, Lock()):  # two reports of one text ask once
            answer = self._answers.get(path) or self._kept(path)
            new = answer is None
            if answer is None:
                empty = Verified({}, (), (), (), Counter())
                answer = self._asked(base) if base.sentences else empty
                self._answers[path] = answer
        files = {path: _packed(answer)} if new else {}
        return ReportReading(applied(answer, base), answer.refused, files)

    def _kept(self, path: str) -> Verified | None:
        """The answer of record; none where there is none, or it was cut or changed."""
        content = self._stored(path)
        if content is None:
            return None
        try:
            return _unpacked(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            log.warning("answer %s is damaged; the model is asked again", path)
            return None

    def _path(self, text: str) -> str:
        key = content_key(PROMPT_VERSION, self._model, schema(self._vocabulary), text)
        return f"llm/{key[:2]}/{key}.json"

    def _asked(self, base: ParsedReport) -> Verified:
        for _ in range(_ASKED_AGAIN):
            content = self._client.complete(
                messages(base.sentences, self._vocabulary), schema(self._vocabulary)
            )
            try:
                return verified(content, base.sentences, self._vocabulary)
            except MalformedAnswerError:
                continue
        raise NoAnswerError("an answer that is no JSON of the schema, expected one that is")


def _packed(answer: Verified) -> bytes:
    kept: dict[str, Any] = {
        "anatomies": {str(number): named for number, named in answer.anatomies.items()},
        "findings": [_packed_mention(mention) for mention in answer.findings],
        "locations": answer.locations,
        "normal": [verdict._asdict() for verdict in answer.normal],
        "refused": dict(answer.refused),
    }
    return json.dumps(kept, sort_keys=True).encode()


def _packed_mention(mention: FindingMention) -> dict[str, Any]:
    return {k: v for k, v in mention._asdict().items() if k != "decided"}


def _unpacked(kept: dict[str, Any]) -> Verified:
    return Verified(
        {int(number): tuple(named) for number, named in kept["anatomies"].items()},
        tuple(FindingMention(**mention, decided=MODEL) for mention in kept["findings"]),
        tuple(None if place is None else (place[0], place[1]) for place in kept["locations"]),
        tuple(Verdict(**verdict) for verdict in kept["normal"]),
        Counter(kept["refused"]),
    )

"""Several processes that work through tasks side by side, kept for a whole run."""

from __future__ import annotations

from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fvlm_data.isolation.limits import Ended
from fvlm_data.isolation.process import Failed, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fvlm_data.isolation.limits import Limits

LOOK_EVERY_S = 0.1
"""A process that fills memory takes some 0.2 GB in this time."""

Task = TypeVar("Task")


class Workers:
    """Up to `number` processes, started when there is work for them."""

    def __init__(self, number: int) -> None:
        """Nothing is started yet."""
        self.number = number
        self._idle: list[Process] = []
        self._busy: dict[Process, Any] = {}

    def __enter__(self) -> Self:
        """Themselves; left, all processes are ended."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all processes."""
        self.close()

    def run(
        self,
        function: Callable[..., Any],
        tasks: Iterable[Task],
        arguments: Callable[[Task], tuple[Any, ...]],
        limits: Limits,
    ) -> Iterator[tuple[Task, Any]]:
        """Each task with what `function(*arguments(task), beat=...)` gave, or how it Ended.

        As they are done, in any order. What the function raised is raised here, and what else is
        under way is given up: as is all when the caller asks for no more.

        Raises:
            MachineError: no process could be started.
        """
        waiting = iter(tasks)
        try:
            self._hand_out(function, waiting, arguments, limits)
            while self._busy:
                wait([one.connection for one in self._busy], LOOK_EVERY_S)
                done = self._done()
                # before the caller is given anything: it may take its time
                self._hand_out(function, waiting, arguments, limits)
                yield from (one for one in done if not isinstance(one[1], Failed))
                for _, result in done:
                    if isinstance(result, Failed):
                        raise result.error
        finally:
            self._give_up()

    def close(self) -> None:
        """End all processes."""
        self._give_up()
        while self._idle:
            self._idle.pop().close()

    def _give_up(self) -> None:
        while self._busy:
            self._busy.popitem()[0].close()

    def _hand_out(
        self,
        function: Callable[..., Any],
        waiting: Iterator[Task],
        arguments: Callable[[Task], tuple[Any, ...]],
        limits: Limits,
    ) -> None:
        for task in islice(waiting, self.number - len(self._busy)):
            process = self._idle.pop() if self._idle else Process()
            self._busy[process] = task
            process.send(function, arguments(task), limits)

    def _done(self) -> list[tuple[Any, Any]]:
        found = []
        for process in [*self._busy]:
            result = process.look()
            if result is None:
                continue
            found.append((self._busy.pop(process), result))
            if isinstance(result, Ended):
                process.close()
            else:
                self._idle.append(process)
        return found

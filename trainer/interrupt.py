"""Ctrl-C and SIGTERM: they end a run between two steps, never within one.

TensorFlow runs the parts of a step in any order. One that is broken off may have moved on the
counters of the optimiser and of the random numbers and nothing else, so nothing could be saved
then. And where TensorFlow traces a step, its C++ calls Python, and an exception that it does not
expect becomes a `SystemError`, or may end the process. So a signal that comes during a step is
noted, and raised at its end.

So it is while libraries are loaded, whose C++ may crash when Python raises anything. And what is
raised in a finaliser, or in what a library has Python call when it collects garbage, Python prints
and forgets: then the signal is sent again.

A model of hundreds of layers is traced for half a minute, however. That is always behind a
checkpoint, so nothing is lost if the process ends there, from another thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from shared.errors import ShardfitError
from shared.start import end, in_a_moment

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# After that a step takes too long. The end then takes another half.
_PATIENCE_S = 1.0
# And the loading of libraries, of which nothing has to be kept: theirs may stop all threads for a
# second or two.
_LOADING_PATIENCE_S = 0.2


class Interrupted(KeyboardInterrupt):
    """A signal ends the run.

    Attributes:
        signal: its number.
        message: what a person is told.
    """

    def __init__(self, number: int) -> None:
        """Note the signal; the message may get better on the way."""
        super().__init__(number)
        self.signal = number
        self.message = "interrupted"


class Interrupts:
    """What becomes of the signals of one run.

    Attributes:
        ended_here: returns what a person is told if the run ends at once, within a step; None if
            something would be lost by that.
    """

    def __init__(self) -> None:
        """Begin with none, and nothing to protect from one."""
        self.ended_here: Callable[[], str | None] = lambda: None
        self._pending = 0
        self._held = False
        self._is_raised = False
        self._patience_s = _PATIENCE_S
        # Whether what was raised is forgotten, and not yet made good.
        self._is_lost = False
        self._closers: list[Callable[[], object]] = []
        # Who has it says whether a step is under way.
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals; what they did before is restored at the end.

        One that is ignored stays so: a shell lets its background jobs ignore Ctrl-C. Only the main
        thread can catch any: in any other, nothing changes.
        """
        before = {
            number: signal.signal(number, self._catch)
            for number in _SIGNALS
            if threading.current_thread() is threading.main_thread()
            and signal.getsignal(number) is not signal.SIG_IGN
        }
        hook = sys.unraisablehook
        sys.unraisablehook = lambda found: self._let_pass(found, hook)
        try:
            with self.translated():
                yield
        finally:
            sys.unraisablehook = hook
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def closing(self, close: Callable[[], object]) -> Iterator[None]:
        """Close something at the end, also at one within a step."""
        self._closers.append(close)
        try:
            yield
        finally:
            self._closers.remove(close)
            close()

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Load libraries, as if that were a step; nothing is lost if the process ends within it.

        Raises:
            Interrupted: a signal came.
        """
        before, self.ended_here = self.ended_here, lambda: "interrupted"
        self._patience_s = _LOADING_PATIENCE_S
        self.hold()
        try:
            yield
        finally:
            self.ended_here = before
            self._patience_s = _PATIENCE_S
            self.release()

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Make the interruption again of which TensorFlow has made another error.

        An error of ours is never one of these: it tells what else went wrong.

        Raises:
            Interrupted: a signal was raised, and came here as something else.
        """
        try:
            yield
        except ShardfitError:
            raise
        except Exception:
            if self._is_raised:
                self.check()
            raise

    @property
    def held(self) -> bool:
        """Whether a step is under way."""
        return self._held

    def check(self) -> None:
        """End the run here, if a signal came.

        Raises:
            Interrupted: it did.
        """
        if self._pending:
            self._is_lost = False
            raise Interrupted(self._pending)

    def hold(self) -> None:
        """Begin a step, during which a signal is only noted.

        Raises:
            Interrupted: one came before.
        """
        self.check()
        self._held = True

    def release(self) -> None:
        """End a step.

        Raises:
            Interrupted: a signal came during the step.
        """
        with self._lock:
            self._held = False
        self.check()

    def _catch(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Who presses Ctrl-C again does not want to wait.
        again = self._pending and not self._is_lost
        self._pending, self._is_lost = number, False
        if again or not self._held:
            self._is_raised = True
            raise Interrupted(number)
        waiting = threading.Timer(self._patience_s, self._end_here, [number])
        waiting.daemon = True
        waiting.start()

    def _end_here(self, number: int) -> None:
        """End the process, if the step is still under way and nothing is lost by that."""
        # Whoever ends the step now waits for ever.
        self._lock.acquire()
        message = self.ended_here() if self._held else None
        if message is None:
            self._lock.release()
            return
        for close in reversed(self._closers):
            with contextlib.suppress(Exception):
                close()
        end(f"trainer: {message}", 128 + number)

    def _let_pass(
        self, found: sys.UnraisableHookArgs, hook: Callable[[sys.UnraisableHookArgs], object]
    ) -> None:
        if not isinstance(found.exc_value, Interrupted):
            hook(found)
            return
        self._is_lost = True
        in_a_moment(self._send_again, found.exc_value.signal)

    def _send_again(self, number: int) -> None:
        # Unless a check has raised it by now.
        if self._is_lost:
            os.kill(os.getpid(), number)

"""Several machines that share a run: they meet before it starts, and none outlives another for long.

The main machine, of rank 0, serves a store of keys at one port, which the launchers and their processes use. Each
launcher counts up a key of its own every few seconds; one whose key stands still is taken for dead.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from hf_seq2seq.errors import InputError
from hf_seq2seq.sections import flag

if TYPE_CHECKING:
    from hf_seq2seq.configs import Run

BEAT = 2.0
"""Seconds between two signs of life."""
SILENCE = 60.0
"""Seconds without one after which a machine is taken for dead."""
GRACE = 10.0
"""Seconds that the processes here have to end by themselves once another machine has failed."""
MARGIN = 1.0
"""Seconds after the limit in which a store that hangs may still say itself what is wrong."""
POLL = 0.2
OF_A_MACHINE = (
    *("machine_rank", "main_process_ip", "machine_timeout", "num_processes", "gpus", "accelerate_config", "use_cpu"),
    *("train_file", "validation_file", "test_file", "model_name_or_path", "tokenizer_name", "report_to"),
)
"""Options that may differ: places of files, and what each machine has."""


class Machines:
    """The other machines of a run, as one of them knows them.

    Args:
        run: which machine this is, and where the main one is.
        count: processes of each machine.
        options: values that must be the same on all machines, by option.

    Attributes:
        lost: what became of a machine that ended too early, for a message; None if none did.
        code: the exit code for it.
    """

    def __init__(self, run: "Run", count: int, options: Mapping[str, Any] | None = None) -> None:
        self.options = {name: str(value) for name, value in (options or {}).items() if name not in OF_A_MACHINE}
        self.rank, self.number, self.count = run.machine_rank, run.num_machines, count
        self.address = (str(run.main_process_ip), run.main_process_port)
        self.seconds = run.machine_timeout
        self.lost: str | None = None
        self.code = 1
        self._store: Any = None
        self._is_connecting = False
        self._left = threading.Event()
        self._heard = {rank: (b"", time.monotonic()) for rank in self._others}
        self._told = time.monotonic()

    @property
    def _others(self) -> list[int]:
        return [rank for rank in range(self.number) if rank != self.rank]

    def join(self) -> None:
        """Waits until all machines are there.

        Signals interrupt it, even while a connection hangs.

        Raises:
            InputError: one did not come in time, two have the same rank, or they disagree about the run.
        """
        failures: list[InputError | None] = []
        meeting = _within(self.seconds + MARGIN, partial(self._try_to_meet, failures))
        if not (failures or self._is_connecting):
            meeting.join(GRACE)  # it is about to say who is missing
        if not failures:
            ip, port = self.address
            raise InputError(
                f"{ip}:{port} accepts connections but did not answer as the main machine of a run within "
                f"{self.seconds} seconds (--machine-timeout); if something else listens there, choose another port"
            )
        failure = failures.pop()
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # which holds this frame, and with it the store and its port

    def _try_to_meet(self, failures: list[InputError | None]) -> None:
        try:
            self._meet()
        except InputError as error:
            failures.append(error)
        except RuntimeError as error:  # of the store
            failures.append(InputError(f"{':'.join(map(str, self.address))}: {str(error).splitlines()[0]}"))
        else:
            failures.append(None)

    def _meet(self) -> None:
        deadline = time.monotonic() + self.seconds
        ip, port = self.address
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _interface(ip))
        if self.rank:
            self._await_main(deadline)
        self._is_connecting = True
        self._store = self._connected(serves=self.rank == 0)
        if self._store.add(f"joined/{self.rank}", 1) > 1:
            raise InputError(f"--machine-rank {self.rank}: another machine has joined {ip}:{port} with this rank")
        self._is_connecting = False
        plan = f"{self.number} machines with {self.count} processes each"
        self._store.set(f"options/{self.rank}", json.dumps(self.options))
        self._store.set(f"plan/{self.rank}", plan)
        for rank in self._others:
            while not self._store.check([f"plan/{rank}"]):
                if time.monotonic() > deadline:
                    raise InputError(
                        f"machine {rank} of {self.number} did not join {ip}:{port} within {self.seconds} seconds "
                        f"(--machine-timeout); the same command must run there with --machine-rank {rank}"
                    )
                time.sleep(POLL)
            if (theirs := self._store.get(f"plan/{rank}").decode()) != plan:
                raise InputError(f"machine {rank} was told of {theirs}, this one of {plan}; give all the same numbers")
            self._compare_options(rank)

    def _compare_options(self, rank: int) -> None:
        theirs: dict[str, str] = json.loads(self._store.get(f"options/{rank}"))
        for name, value in self.options.items():
            if (other := theirs.get(name)) != value:
                detail = f"{value} here, {'not an option' if other is None else other} on machine {rank}"
                raise InputError(f"{flag(name)}: {detail}; give all machines the same flags")

    def _await_main(self, deadline: float) -> None:
        ip, port = self.address
        while True:
            try:
                socket.create_connection(self.address, timeout=1).close()
                return
            except socket.gaierror:
                raise InputError(f"--main-process-ip {ip}: there is no such host") from None
            except OSError:
                if time.monotonic() > deadline:
                    raise InputError(
                        f"the main machine did not answer at {ip}:{port} within {self.seconds} seconds "
                        "(--machine-timeout); the same command must run there with --machine-rank 0"
                    ) from None
                time.sleep(POLL)

    def _connected(self, serves: bool = False) -> Any:
        from torch.distributed import DistNetworkError, TCPStore

        ip, port = self.address
        limit = timedelta(seconds=self.seconds)
        try:
            return TCPStore(ip, port, None, serves, limit, wait_for_workers=False, multi_tenant=True)
        except DistNetworkError as error:
            reason = str(error).splitlines()[0]
            reason = "the port is in use" if "EADDRINUSE" in str(error) else reason
            raise InputError(f"--main-process-ip {ip}, --main-process-port {port}: {reason}") from None

    @contextmanager
    def watching(self) -> Iterator[Callable[[int], int]]:
        """Shows the others that this machine runs, and ends the processes here when another one is lost.

        At the end the others are told how this one ended: by the code given to the function that is yielded, or 1.
        """
        codes = [1]
        for task in (self._beat, self._listen):
            threading.Thread(target=task, daemon=True).start()
        try:
            yield partial(_noted, codes)
        finally:
            self._left.set()
            _within(GRACE if self.lost else SILENCE, partial(self._leave, codes[-1]))

    def _leave(self, code: int) -> None:
        """The main machine stays until the others know."""
        with suppress(RuntimeError):  # the main machine is gone
            self._store.set(f"ended/{self.rank}", str(code))
            while self.rank == 0 and self.lost is None:
                if self._store.check([f"ended/{rank}" for rank in self._others]):
                    break
                time.sleep(POLL)

    def failed_elsewhere(self) -> bool:
        """Whether another machine is lost, or has already told that it failed."""
        if self.lost is None:
            _within(GRACE, partial(self._note_failures, self._store))
        return self.lost is not None

    def _note_failures(self, store: Any) -> None:
        with suppress(RuntimeError):
            for rank in self._others:
                if store.check([f"ended/{rank}"]) and (code := int(store.get(f"ended/{rank}"))):
                    self.code = code
                    self.lost = f"machine {rank} of {self.number} ended with code {code}; its own output says why"

    def _beat(self) -> None:
        store, beats = None, 0
        with suppress(RuntimeError, InputError):  # a broken connection; `_listen` then hears nothing more
            store = self._connected()
            while not self._left.wait(BEAT):
                store.set(f"beat/{self.rank}", str(beats := beats + 1))
                for rank in self._others:
                    known = store.check([f"beat/{rank}"])
                    beat = store.get(f"beat/{rank}") if known else b""
                    if beat != self._heard[rank][0] or store.check([f"ended/{rank}"]):
                        self._heard[rank] = (beat, time.monotonic())
                self._note_failures(store)
                self._told = time.monotonic()

    def _listen(self) -> None:
        while not self._left.wait(BEAT):
            now = time.monotonic()
            silent = [rank for rank, (_, heard) in self._heard.items() if now - heard > SILENCE]
            if now - self._told > SILENCE:
                silent = [0] if self.rank else []
            if silent:
                self.lost = f"machine {silent[0]} of {self.number} has not answered for {SILENCE:.0f} seconds"
                _end_processes()
                return
            if self.lost is not None:
                self._left.wait(GRACE)
                _end_processes()
                return


def _interface(ip: str) -> str:
    """The name of the network interface by which the main machine is reached: the name of a host may say another.

    Raises:
        InputError: there is no such host, or no way to it.
    """
    import psutil

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ip, 9))
        except OSError as error:
            raise InputError(f"--main-process-ip {ip}: {error.strerror}") from None
        own = probe.getsockname()[0]
    there = psutil.net_if_addrs().items()
    return next((name for name, addresses in there if any(each.address == own for each in addresses)), "")


def _within(seconds: float, call: Callable[[], None]) -> threading.Thread:
    """Calls what may hang, as a machine without power does not answer, and waits so long at most."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return thread


def _noted(codes: list[int], code: int) -> int:
    codes.append(code)
    return code


def _end_processes() -> None:
    """Ends the processes that the launcher started, which may wait for a lost machine for ever."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()

# SPDX-License-Identifier: ISC
"""Programs that are started, waited for, measured and ended."""

import contextlib
import glob
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds for a program to be ready
DEADLINE = 300  # seconds for one to do its work


class Failed(Exception):
    """A measurement that did not come about; says why."""


class Signals:
    """SIGTERM and SIGINT end the run, but not between the start of a program and
    our knowing of it, nor while we end one, or it would stay."""

    def __init__(self):
        self.held = False
        self.pending = False

    def listen(self):
        for signo in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signo, self._on_signal)

    def _on_signal(self, *_):
        if not self.held:
            sys.exit(1)
        self.pending = True

    @contextlib.contextmanager
    def hold(self):
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.pending:
            sys.exit(1)


SIGNALS = Signals()


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def readable(fd, seconds):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))


def numbers(path):
    """Fields such as "VmRSS:  12 kB" of a file in /proc, in bytes."""
    found = {}
    with open(path, encoding='ascii', errors='replace') as f:
        for line in f:
            name, _, rest = line.partition(':')
            if rest.endswith(' kB\n'):
                found[name] = int(rest.split()[0]) * 1024
    return found


class Program:
    """One process.  ready_ns is when it said on -R FD that it is."""

    def __init__(self, group, command, stdin=subprocess.DEVNULL, stdout=None,
                 ready='-R', pass_fds=()):
        self.group = group
        self.name = os.path.basename(command[0])
        self.log = tempfile.TemporaryFile(dir=group.folder)
        self.out = tempfile.TemporaryFile(dir=group.folder)
        self.status = None
        self.stopped = False  # by us, so that its status means nothing
        self.owned = []  # descriptors to close when it has ended
        self.cpu_before = 0
        self.ready_ns = now_ns()
        r, w = os.pipe()
        if ready:
            at = 2 if command[1] in ('source', 'sink', 'sfn', 'zipper') else 1
            command = command[:at] + [ready, str(w)] + command[at:]
        with SIGNALS.hold():
            self.process = subprocess.Popen(
                command, stdin=stdin, stdout=stdout or self.out,
                stderr=self.log, pass_fds=(w, *pass_fds), env=group.env,
                cwd=group.folder)
            self.pid = self.process.pid
            self.pidfd = os.pidfd_open(self.pid)
            group.add(self)
        os.close(w)
        try:
            if ready:
                self._wait_ready(r)
        finally:
            os.close(r)

    def _wait_ready(self, fd):
        if not readable(fd, PATIENCE) or os.read(fd, 1) != b'\n':
            raise Failed(f'{self.name} is not ready: {self.errors()}')
        self.ready_ns = now_ns()

    def close(self):
        for fd in self.owned:
            os.close(fd)
        for f in (self.log, self.out, self.process.stdin, self.process.stdout):
            if f:
                f.close()

    def errors(self):
        self.log.seek(0)
        return self.log.read().decode(errors='replace').strip()[-2000:]

    def output(self):
        self.out.seek(0)
        return self.out.read().decode()

    def memory(self):
        return numbers(f'/proc/{self.pid}/status')

    def cpu_ns(self):
        """Processor time from the last cpu_start() on."""
        return self._cpu() - self.cpu_before

    def cpu_start(self):
        self.cpu_before = self._cpu()

    def _cpu(self):
        if self.status is not None:
            return self.cpu_total
        total = 0
        for path in glob.glob(f'/proc/{self.pid}/task/*/schedstat'):
            with contextlib.suppress(OSError), open(path) as f:
                total += int(f.read().split()[0])
        return total

    def kill(self, signo):
        if self.status is None:
            os.kill(self.pid, signo)

    def has_ended(self, seconds=0):
        """Within so many seconds, and if so, with which status: -N for signal
        N."""
        if self.status is None and readable(self.pidfd, seconds):
            _, status, usage = os.wait4(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            self.process.returncode = self.status
            self.cpu_total = int((usage.ru_utime + usage.ru_stime) * 1e9)
            os.close(self.pidfd)
        return self.status is not None

    def wait(self):
        """Its exit status.  If another one fails meanwhile, so does this."""
        end = time.monotonic() + DEADLINE
        while not self.has_ended(1):
            self.group.check()
            if time.monotonic() > end:
                raise Failed(f'{self.name} goes on and on: {self.errors()}')
        return self.status

    def finish(self):
        """Wait until it has ended by itself, and well."""
        if self.wait() != 0:
            raise Failed(f'{self.name} ends with {self.status}: {self.errors()}')

    def stop(self, signo=signal.SIGTERM):
        self.stopped = True
        self.kill(signo)
        if not self.has_ended(PATIENCE):
            raise Failed(f'{self.name} does not end: {self.errors()}')
        return self.status


class Group(contextlib.AbstractContextManager):
    """The programs of one measurement: none outlives it."""

    def __init__(self, env):
        self.members = []
        self.env = env
        self.folder = env['HOME']

    def add(self, program):
        self.members.append(program)

    def start(self, *args, **kwargs):
        return Program(self, *args, **kwargs)

    def check(self):
        """Nobody has failed."""
        for p in self.members:
            if p.has_ended() and p.status != 0 and not p.stopped:
                raise Failed(f'{p.name} ends with {p.status}: {p.errors()}')

    def __exit__(self, *_):
        with SIGNALS.hold():
            for p in reversed(self.members):
                p.kill(signal.SIGKILL)
            for p in self.members:
                p.has_ended(PATIENCE)
                p.close()


class Environment:
    """A home of its own for all that is started, and data to send."""

    def __init__(self, top, programs, tools):
        self.top = top
        self.folder = tempfile.mkdtemp(prefix='yomo-bench.')
        os.mkdir(os.path.join(self.folder, 'state'), 0o700)
        self.env = dict(os.environ)
        for name in ('YOMO_ZIPPER', 'YOMO_CREDENTIAL', 'NOTIFY_SOCKET'):
            self.env.pop(name, None)
        self.env.update(
            HOME=self.folder,
            XDG_STATE_HOME=os.path.join(self.folder, '.state'),
            STATE_DIRECTORY=os.path.join(self.folder, 'state'),
            YOMO_LOG_LEVEL='error',
            PATH=':'.join([programs, tools, os.path.join(top, 'build/interop'),
                           os.environ['PATH'], '/usr/sbin']))
        self._data = {}

    def has(self, command):
        return shutil.which(command, path=self.env['PATH']) is not None

    def group(self):
        return Group(self.env)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as f:
            f.write(text)
        return self.path(name)

    def data(self, n, size):
        """A file, in memory, of n messages in len32; opened anew each time."""
        if self._data.get('key') != (n, size):
            self.forget()
            fd = os.memfd_create('bench')
            subprocess.run(['pace', '-n', str(n), '-s', str(size)], check=True,
                           stdout=fd, env=self.env)
            self._data = {'key': (n, size), 'fd': fd}
        return open(f"/proc/self/fd/{self._data['fd']}", 'rb')

    def forget(self):
        if self._data:
            os.close(self._data['fd'])
        self._data = {}

    def certificate(self):
        """Of localhost, for those who bring none: (certificate, key)."""
        cert, key = self.path('cert.pem'), self.path('key.pem')
        if not os.path.exists(cert):
            subprocess.run(
                ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
                 '/CN=localhost', '-addext',
                 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key,
                 '-out', cert], check=True, capture_output=True)
        return cert, key

    def close(self):
        self.forget()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_listening(program, port):
    """Wait for one that does not say when it is ready, and do not disturb."""
    wanted = f'0100007F:{port:04X}'
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not program.has_ended(0.005):
        with open('/proc/net/tcp', encoding='ascii') as f:
            if any(line.split()[1] == wanted and line.split()[3] == '0A'
                   for line in f):
                program.ready_ns = now_ns()
                return
    raise Failed(f'{program.name} does not listen: {program.errors()}')

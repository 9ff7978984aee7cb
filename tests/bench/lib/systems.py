# SPDX-License-Identifier: ISC
"""The systems that are compared: how each one's programs are started.

A system has a hub (zipper, broker) and, at it, sinks and sources.  Which program
it is, and how it counts, is all that a case does not need to know.
"""

import json
import os
import re
import signal
import socket
import subprocess

from .programs import Failed, free_port, wait_listening

TAG = '0x33'
BEFORE = os.environ.get('BENCH_BEFORE', '')


class System:
    name = ''
    title = ''
    needs = ()  # commands, without which it cannot be had
    hub_roles = 1
    hops = 2

    def __init__(self, env):
        self.env = env

    def is_wanted(self):
        """Also where nobody asks for it by name."""
        return True

    def missing(self):
        """Why it cannot be measured here; None if it can."""
        lacking = [c for c in self.needs if not self.env.has(c)]
        if lacking:
            return f"no {', '.join(lacking)} here: scripts/setup --bench, make"
        return None

    def version(self):
        return ''

    def first_line(self, *command):
        done = subprocess.run(command, env=self.env.env, capture_output=True,
                              text=True, check=False)
        return (done.stdout + done.stderr).strip().partition('\n')[0]

    # What a case uses:
    #   hub(group) -> Hub
    #   sink(group, at, n, timed, observers) -> Sink
    #   source(group, at, stdin) -> Program, whose ready_ns is set


class Sink:
    """Who counts: result() is what tests/tools/common/tally.h prints."""

    def __init__(self, counter, *others):
        self.counter = counter
        self.others = others
        self.measured = others[0] if others else counter

    def result(self):
        self.counter.finish()
        for p in self.others:
            p.stop(signal.SIGKILL)
        return json.loads(self.counter.output())


class Hub:
    def __init__(self, program, at):
        self.program = program
        self.at = at


def listening_on(program):
    found = re.search(r'listening on (\S+)', program.errors())
    if not found:
        raise Failed(f'{program.name} says no address: {program.errors()}')
    return found.group(1)


class Yomo(System):
    """Those that speak YoMo's protocol, and so share tests/tools/peer."""

    protocol = 'yomo'

    def peer(self, group, at, *options):
        return group.start(['peer', '-a', self.protocol, *options, at])

    def observers(self, group, at, n, count):
        return Sink(self.peer(group, at, '-n', str(count), '-c', str(n)))

    def idle(self, group, at, count):
        return self.peer(group, at, '-n', str(count))

    def stuck(self, group, at, tag):
        """An observer whose output nobody reads."""
        r, w = os.pipe()
        p = group.start(self.observer(at, tag), stdout=w)
        os.close(w)
        p.owned.append(r)
        return p


class Ours(Yomo):
    name = 'ours'
    title = 'yomo (this)'
    protocol = 'yomo-x1'
    needs = ('yomo-zipper', 'yomo-sfn', 'yomo-source')
    folder = ''

    def program(self, name):
        return os.path.join(self.folder, name)

    def version(self):
        return self.first_line(self.program('yomo-zipper'), '--version')

    def hub(self, group):
        p = group.start([self.program('yomo-zipper'), '-l', '127.0.0.1:0'])
        return Hub(p, listening_on(p))

    def sink(self, group, at, n, tags=TAG, only=0, timed=False):
        """yomo-sfn | meter, as a shell has it."""
        r, w = os.pipe()
        counter = group.start(['meter', '-c', str(n), '-s', str(only)],
                              stdin=r, ready=None)
        os.close(r)
        sfn = group.start(self.observer(at, tags), stdout=w)
        os.close(w)
        return Sink(counter, sfn)

    def observer(self, at, tags):
        return [self.program('yomo-sfn'), '-q', '-z', at, '-t', tags, '-F',
                'len32']

    def source(self, group, at, stdin, tag=TAG, hurry=False):
        return group.start([self.program('yomo-source'), '-q', '-z', at, '-t',
                            tag, '-F', 'len32'], stdin=stdin)


class Before(Ours):
    """The programs of another build, as of an older commit."""
    name = 'before'
    title = 'yomo, before'
    folder = BEFORE
    needs = tuple(os.path.join(BEFORE, name) for name in Ours.needs)

    def is_wanted(self):
        return BEFORE != ''


class Go(Yomo):
    name = 'go'
    title = 'Go YoMo'
    needs = ('gopeer',)

    def missing(self):
        done = subprocess.run([os.path.join(self.env.top, 'tests/interop/run'),
                               '--build'], capture_output=True, text=True,
                              check=False)
        why = (done.stdout + done.stderr).strip()
        return why or super().missing()

    def version(self):
        with open(os.path.join(self.env.top, 'tests/interop/gopeer/go.mod'),
                  encoding='utf-8') as f:
            return re.search(r'yomorun/yomo (\S+)', f.read()).group(1)

    def hub(self, group):
        p = group.start(['gopeer', 'zipper', '-l', '127.0.0.1:0'])
        return Hub(p, listening_on(p))

    def sink(self, group, at, n, tags=TAG, only=0, timed=False):
        return Sink(group.start(
            ['gopeer', 'sfn', '-z', at, '-t', tags, '-c', str(n), '-only',
             str(only), '-F', 'latency' if timed else 'count']))

    def observer(self, at, tags):
        return ['gopeer', 'sfn', '-z', at, '-t', tags, '-F', 'len32']

    def source(self, group, at, stdin, tag=TAG, hurry=False):
        return group.start(['gopeer', 'source', '-hold', '-z', at, '-t', tag,
                            '-F', 'len32'], stdin=stdin)


class Broker(System):
    """One that is reached by a client of ours on its own library."""
    client = ''
    tls = False

    def hub(self, group):
        port = free_port()
        p = group.start(self.command(port), ready=None)
        wait_listening(p, port)
        return Hub(p, f'127.0.0.1:{port}')

    def options(self, at):
        trust = ['-C', self.env.certificate()[0]] if self.tls else []
        return ['-z', at] + trust

    def sink(self, group, at, n, timed=False, count=1):
        return Sink(group.start(
            [self.client, 'sink', *self.options(at), '-c', str(n), '-n',
             str(count)] + (['-L'] if timed else [])))

    def observers(self, group, at, n, count):
        return self.sink(group, at, n, count=count)

    def idle(self, group, at, count):
        return self.observers(group, at, 1, count).counter

    def source(self, group, at, stdin, hurry=False):
        hurried = ['-A'] if hurry else []
        return group.start([self.client, 'source', *self.options(at), *hurried],
                           stdin=stdin)


class Nats(Broker):
    name = 'nats'
    title = 'NATS'
    client = 'natspeer'
    server = os.environ.get('BENCH_NATS', 'nats-server')
    needs = (server, 'natspeer')

    def version(self):
        return self.first_line(self.server, '--version')

    def command(self, port):
        # Its limits are lifted where they would end a connection that lags.
        text = (f'host: 127.0.0.1\nport: {port}\nmax_payload: 8388608\n'
                'max_pending: 8589934592\nwrite_deadline: "120s"\n')
        if self.tls:
            cert, key = self.env.certificate()
            text += f'tls {{ cert_file: "{cert}", key_file: "{key}" }}\n'
        return [self.server, '-c', self.env.write(f'{self.name}.conf', text)]


class NatsTls(Nats):
    name = 'nats-tls'
    title = 'NATS, TLS'
    tls = True


class Mosquitto(Broker):
    name = 'mosquitto'
    title = 'mosquitto, TLS'
    client = 'mqttpeer'
    needs = ('mosquitto', 'mqttpeer')
    tls = True

    def version(self):
        return self.first_line('mosquitto', '-h')

    def command(self, port):
        cert, key = self.env.certificate()
        # It drops what waits for an observer that lags, if it may not queue.
        text = (f'listener {port} 127.0.0.1\nallow_anonymous true\n'
                f'certfile {cert}\nkeyfile {key}\nmax_queued_messages 0\n'
                'max_queued_bytes 0\nset_tcp_nodelay true\n')
        if os.getuid() == 0:
            text += 'user root\n'
        return ['mosquitto', '-c', self.env.write('mosquitto.conf', text)]


class Pipe(System):
    """socat to socat: one hop, one reader, no routing: the shell's floor."""
    name = 'tcp'
    title = 'socat, TCP'
    needs = ('socat',)
    hops = 1
    far, near = 'TCP-LISTEN:{port},bind=127.0.0.1', 'TCP:127.0.0.1:{port}'

    def version(self):
        done = subprocess.run(['socat', '-V'], capture_output=True, text=True,
                              check=False)
        return re.search(r'socat version (\S+)', done.stdout).group(1)

    def address(self, text, port):
        cert, key = self.env.certificate()
        return text.format(port=port, cert=cert, key=key)

    def run(self, group, n, data):
        port = free_port()
        r, w = os.pipe()
        counter = group.start(['meter', '-c', str(n)], stdin=r, ready=None)
        os.close(r)
        far = group.start(['socat', '-u', self.address(self.far, port), '-'],
                          stdout=w, ready=None)
        os.close(w)
        wait_listening(far, port)
        near = group.start(['socat', '-u', '-', self.address(self.near, port)],
                           stdin=data, ready=None)
        sink = Sink(counter, far)
        return sink, near


class PipeTls(Pipe):
    name = 'tls'
    title = 'socat, TLS'
    far = ('OPENSSL-LISTEN:{port},bind=127.0.0.1,cert={cert},key={key},'
           'verify=0')
    near = 'OPENSSL:127.0.0.1:{port},verify=0'


class Relay:
    """tests/tools/relay: a bad path to hub."""

    def __init__(self, group, hub, *commands):
        options = [x for c in commands for x in ('-c', c)]
        self.program = group.start(
            ['relay', '-l', '127.0.0.1:0', *options, hub.at],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.at = listening_on(self.program)

    def stats(self, way):
        """Of "up" or "down": numbers by name."""
        pipe = self.program.process
        pipe.stdin.write(b'stats\n')
        pipe.stdin.flush()
        line = pipe.stdout.readline().decode()
        pipe.stdout.readline()  # ok stats
        found = re.search(rf'{way} (\d+) passed (\d+) dropped (\d+) bytes '
                          r'(\d+) longest', line)
        return dict(zip(('passed', 'dropped', 'bytes', 'longest'),
                        map(int, found.groups())))


class Ngtcp2(System):
    """Bare ngtcp2, one hop: what QUIC costs at the least."""
    name = 'ngtcp2'
    title = 'ngtcp2, one hop'
    needs = ('quicpeer',)
    hops = 1

    def run(self, group, total, packet):
        port = free_port(socket.SOCK_DGRAM)
        options = ['-c', str(total), '-p', str(packet), f'127.0.0.1:{port}']
        sink = group.start(['quicpeer', 'sink', *options])
        source = group.start(['quicpeer', 'source', *options], ready=None)
        source.finish()
        sink.finish()
        return json.loads(source.output()), json.loads(sink.output())


ALL = (Ours, Before, Go, Nats, NatsTls, Mosquitto, Pipe, PipeTls, Ngtcp2)

# SPDX-License-Identifier: ISC
"""What is measured.  A case has points (message sizes, rates, numbers of
observers), systems that it is about, and measure(), which yields for one system
at one point the metrics of one run, as pairs of name and value."""

import json
import os
import re
import signal
import time

from .programs import Failed, now_ns, readable
from .systems import Broker, Ngtcp2, Ours, Pipe, Relay, Yomo

KIB, MIB = 1 << 10, 1 << 20
DATA_MAX = 1536 * MIB  # of one transfer
BULK = '4000000000'  # messages: more than any measurement takes


def rounded(n):
    """Two digits: the same number is sent again next time."""
    unit = 10 ** max(0, len(str(int(n))) - 2)
    return max(unit, int(n) // unit * unit)


def fed(group, system, at, pace, **options):
    """A source that is connected, whose messages begin now."""
    r, w = os.pipe()
    source = system.source(group, at, r, **options)
    os.close(r)
    feeder = group.start(['pace', *map(str, pace)], stdout=w, ready=None)
    os.close(w)
    return source, feeder


def expect(result, count):
    if result['count'] != count:
        raise Failed(f"lost: {result['count']} of {count} came")


def end_source(source):
    """Go's stays, as nothing tells it that all is taken."""
    if source.name == 'gopeer':
        source.stop()
    elif source.wait() != 0:
        raise Failed(f'the source ends with {source.status}: {source.errors()}')


class Case:
    name = ''
    about = ()
    points = (None,)
    quick_points = None
    rmem_points = ()  # to repeat with other limits of the receive buffers

    def __init__(self, settings, env):
        self.settings = settings
        self.env = env
        if settings.quick and self.quick_points:
            self.points = self.quick_points

    @property
    def seconds(self):
        return self.settings.seconds

    def concerns(self, system, point):
        return isinstance(system, self.about)


class Throughput(Case):
    """Messages a second by size, from the source's stdin to the sink's stdout;
    what processor time that took, and the hub's memory at most."""
    name = 'throughput'
    about = (Yomo, Broker, Pipe)
    points = (16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB,
              4 * MIB)
    quick_points = (64, KIB, 64 * KIB)
    rmem_points = (64, KIB, 64 * KIB)
    observers = 0

    def __init__(self, *args):
        super().__init__(*args)
        self.rates = {}

    def size(self, point):
        return point

    def number(self, system, point):
        """As many messages as take the time we have."""
        most = max(20, DATA_MAX // (self.size(point) + 4))
        if (system.name, point) not in self.rates:
            self.rates[system.name, point] = self.probe(system, point, most)
        n = self.rates[system.name, point] * self.seconds
        return rounded(max(20, min(n, most)))

    def probe(self, system, point, most):
        """The rate, of ever more messages until that takes long enough."""
        n = max(20, min(1000, most) // self.copies(point))
        while True:
            seconds = self.transfer(system, point, n)['seconds']
            if seconds > self.seconds / 4 or n == most:
                return n / seconds
            n = min(most, int(n * max(2, min(20, self.seconds / 3 / seconds))))

    def sink(self, group, system, at, n, point):
        return system.sink(group, at, n)

    def transfer(self, system, point, n):
        with self.env.group() as g:
            data = self.env.data(n, self.size(point))
            if isinstance(system, Pipe):
                return self.pipe(g, system, n, data)
            hub = system.hub(g)
            sink = self.sink(g, system, hub.at, n, point)
            hub.program.cpu_start()
            sink.measured.cpu_start()
            source = system.source(g, hub.at, data)
            source.cpu_start()
            result = sink.result()
            # We may have been told late that the source is ready.
            began = min(source.ready_ns, result['first_ns'])
            found = {
                'seconds': (result['last_ns'] - began) / 1e9,
                'cpu hub': hub.program.cpu_ns(),
                'cpu sink': sink.measured.cpu_ns(),
                'cpu source': source.cpu_ns(),
                'peak': hub.program.memory()['VmHWM'],
            }
            expect(result, n * self.copies(point))
            end_source(source)
            return found

    def copies(self, point):
        return 1

    def pipe(self, group, system, n, data):
        """From the first byte on, as socat does not say when it is ready."""
        sink, near = system.run(group, n, data)
        result = sink.result()
        expect(result, n)
        near.wait()
        return {
            'seconds': (result['last_ns'] - result['first_ns']) / 1e9,
            'cpu sink': sink.measured.cpu_ns(),
            'cpu source': near.cpu_ns(),
        }

    def measure(self, system, point):
        n = self.number(system, point)
        found = self.transfer(system, point, n)
        yield 'messages/s', n / found['seconds']
        yield 'MB/s', n * self.size(point) / found['seconds'] / 1e6
        roles = [k for k in found if k.startswith('cpu ')]
        for role in roles:
            yield f'{role}, ns/message', found[role] / n
        yield 'cpu, ns/byte', (sum(found[k] for k in roles) / n /
                               self.size(point))
        if 'peak' in found:
            yield 'hub peak, KiB', found['peak'] / KIB
        yield 'messages', n


class FanOut(Throughput):
    """Deliveries a second: one source, many observers of 1 KiB messages, all of
    them in one program."""
    name = 'fanout'
    about = (Yomo, Broker)
    points = (1, 10, 100, 1000)
    quick_points = (1, 100)
    rmem_points = ()

    def size(self, point):
        return KIB

    def copies(self, point):
        return point

    def sink(self, group, system, at, n, point):
        return system.observers(group, at, n, point)

    def measure(self, system, point):
        n = self.number(system, point)
        found = self.transfer(system, point, n)
        deliveries = n * point
        yield 'deliveries/s', deliveries / found['seconds']
        yield 'cpu hub, ns/delivery', found['cpu hub'] / deliveries
        yield 'hub peak, KiB', found['peak'] / KIB
        yield 'messages', n


LATENCIES = (('p50_us', 'p50, us'), ('p90_us', 'p90, us'),
             ('p99_us', 'p99, us'), ('p999_us', 'p99.9, us'))


class Latency(Case):
    """How late messages of 64 bytes come, by the time at which each was due to be
    written, at so many a second."""
    name = 'latency'
    about = (Yomo, Broker)
    points = (1000, 10000, 100000)

    def measure(self, system, point):
        n = rounded(point * self.seconds * 1.5)
        with self.env.group() as g:
            hub = system.hub(g)
            sink = system.sink(g, hub.at, n, timed=True)
            fed(g, system, hub.at, ['-n', n, '-r', point, '-s', 64],
                hurry=True)
            result = sink.result()
            expect(result, n)
        for key, metric in LATENCIES:
            yield metric, result[key]


class Isolation(Case):
    """Tag B, offered at 20 % of what the system can do, alone and beside tag A
    whose observer's output nobody reads and whose source is offered without
    end."""
    name = 'isolation'
    about = (Yomo,)
    points = ('alone', 'beside')
    size = KIB

    def __init__(self, *args):
        super().__init__(*args)
        self.capacity = {}
        self.throughput = Throughput(*args)

    def rate(self, system):
        if system.name not in self.capacity:
            found = dict(self.throughput.measure(system, self.size))
            self.capacity[system.name] = found['messages/s']
        return int(self.capacity[system.name] / 5)

    def block(self, group, system, at):
        """Until A's source has been waiting for a while."""
        system.stuck(group, at, '0x41')
        source, feeder = fed(group, system, at, ['-n', BULK, '-s', self.size],
                             tag='0x41')
        before, end = -1, time.monotonic() + 30
        while time.monotonic() < end:
            with open(f'/proc/{feeder.pid}/io', encoding='ascii') as f:
                written = int(re.search(r'wchar: (\d+)', f.read()).group(1))
            if written == before:
                return
            before = written
            if source.has_ended(0.25):
                raise Failed(f'the source of A ends: {source.errors()}')
        raise Failed('the stuck observer holds nobody up')

    def measure(self, system, point):
        rate = self.rate(system)
        n = rounded(rate * self.seconds * 1.5)
        with self.env.group() as g:
            hub = system.hub(g)
            if point == 'beside':
                self.block(g, system, hub.at)
            sink = system.sink(g, hub.at, n, tags='0x42', timed=True)
            fed(g, system, hub.at, ['-n', n, '-r', rate, '-s', self.size],
                tag='0x42')
            result = sink.result()
            memory = hub.program.memory()['VmHWM']
        yield 'offered/s', rate
        yield 'delivered, %', 100 * result['count'] / n
        for key, metric in LATENCIES:
            yield metric, result[key]
        yield 'hub peak, KiB', memory / KIB


class Lossy(Case):
    """One sink observes A, sent in bulk, and B, 100 messages a second; between it
    and the hub are 20 ms of round trip, Ethernet's packets, and: datagrams lost
    or out of order in each direction, or a link of 5 MB/s that holds 50 ms of
    them.  How late B is."""
    name = 'lossy'
    about = (Yomo,)
    paths = {
        '0 % lost': (),
        '0.5 % lost': ('loss 0.5',),
        '2 % lost': ('loss 2',),
        '2 % out of order': ('reorder 2',),
        '5 MB/s': ('rate 5000000', 'queue 250000'),
    }
    points = tuple(paths)
    quick_points = ('0.5 % lost',)
    always = ('delay 10', 'mtu 1472', 'queue 67108864')
    bulk_size, size, rate = 4 * KIB, 64, 100

    def measure(self, system, point):
        n = int(self.rate * self.seconds * 5)
        with self.env.group() as g:
            hub = system.hub(g)
            path = Relay(g, hub, *self.always, *self.paths[point])
            sink = system.sink(g, path.at, n, tags='0x41,0x42',
                               only=self.size, timed=True)
            fed(g, system, hub.at, ['-n', BULK, '-s', self.bulk_size],
                tag='0x41')
            fed(g, system, hub.at, ['-n', n, '-r', self.rate, '-s',
                                    self.size], tag='0x42')
            began = now_ns()
            result = sink.result()
            passed = path.stats('down')['bytes']
            seconds = (now_ns() - began) / 1e9
            expect(result, n)
        for key, metric in LATENCIES:
            yield metric, result[key]
        yield 'bulk, MB/s', passed / seconds / 1e6


class Idle(Case):
    """The hub's memory for each connection that observes a tag on which nothing
    is sent."""
    name = 'idle'
    about = (Yomo, Broker)
    points = (100, 1000, 4000)
    quick_points = (1000,)

    def measure(self, system, point):
        with self.env.group() as g:
            hub = system.hub(g)
            before = hub.program.memory()
            system.idle(g, hub.at, point)
            after = hub.program.memory()
        yield ('bytes/connection',
               (after['VmRSS'] - before['VmRSS']) / point)
        yield 'hub RSS, KiB', after['VmRSS'] / KIB


class Handshakes(Case):
    """Connections set up, each to the Ack, by one program that stays 16 ahead;
    and how many the hub could do if it had a processor for itself."""
    name = 'handshakes'
    about = (Yomo,)

    def measure(self, system, point):
        n = max(200, int(1000 * self.seconds))
        with self.env.group() as g:
            hub = system.hub(g)
            hub.program.cpu_start()
            clients = system.idle(g, hub.at, n)
            cpu = hub.program.cpu_ns()
            result = json.loads(clients.output())
            if result['connections'] != n:
                raise Failed(f"{result['failed']} of {n} were not let in")
        yield 'handshakes/s', result['per_second']
        yield 'handshakes/s of hub cpu', n * 1e9 / cpu


class Start(Case):
    """The hub's memory before anybody has come."""
    name = 'start'
    about = (Yomo, Broker)

    def measure(self, system, point):
        with self.env.group() as g:
            memory = system.hub(g).program.memory()
        yield 'hub RSS, KiB', memory['VmRSS'] / KIB
        yield 'hub RssAnon, KiB', memory['RssAnon'] / KIB


class Syscalls(Case):
    """System calls for each message, counted by perf."""
    name = 'syscalls'
    about = (Yomo, Broker)
    points = (64, 64 * KIB)

    def concerns(self, system, point):
        return super().concerns(system, point) and self.env.has('perf')

    def count(self, group, pid):
        """perf, once it counts."""
        control_r, control_w = os.pipe()
        ack_r, ack_w = os.pipe()
        p = group.start(
            ['/bin/sh', '-c', 'exec perf stat -D -1 --control '
             f'fd:{control_r},{ack_w} -x, -e raw_syscalls:sys_enter -p {pid}'],
            ready=None, pass_fds=(control_r, ack_w))
        os.close(control_r)
        os.close(ack_w)
        os.write(control_w, b'enable\n')
        if not readable(ack_r, 20) or not os.read(ack_r, 16):
            raise Failed(f'perf does not count: {p.errors()}')
        os.close(control_w)
        os.close(ack_r)
        return p

    def counted(self, perf):
        perf.stop(signal.SIGINT)
        found = re.search(r'^(\d+),+raw_syscalls', perf.errors(), re.M)
        if not found:
            raise Failed(f'perf says: {perf.errors()}')
        return int(found.group(1))

    def measure(self, system, point):
        n = max(1000, min(200000, 128 * MIB // point))
        with self.env.group() as g:
            hub = system.hub(g)
            sink = system.sink(g, hub.at, n)
            r, w = os.pipe()
            source = system.source(g, hub.at, r)
            os.close(r)
            roles = {'source': source, 'hub': hub.program,
                     'sink': sink.measured}
            counters = {k: self.count(g, p.pid) for k, p in roles.items()}
            g.start(['pace', '-n', str(n), '-s', str(point)], stdout=w,
                    ready=None)
            os.close(w)
            expect(sink.result(), n)
            for role, perf in counters.items():
                yield f'syscalls {role}/message', self.counted(perf) / n


class Limit(Case):
    """Bare ngtcp2, one hop, by packet size."""
    name = 'limit'
    about = (Ngtcp2,)
    points = (1452, 8900, 16000, 32000, 60000)
    quick_points = (1452, 60000)

    def measure(self, system, point):
        total = max(64 * MIB, int(512 * MIB * self.seconds))
        with self.env.group() as g:
            source, sink = system.run(g, total, point)
        yield 'MB/s', total * 1e3 / (sink['last_ns'] - sink['first_ns'])
        yield 'cpu, ns/byte', (source['cpu_ns'] + sink['cpu_ns']) / total


class Packets(Case):
    """How long our packets get on this machine."""
    name = 'packets'
    about = (Ours,)

    def measure(self, system, point):
        n = 2000
        with self.env.group() as g:
            hub = system.hub(g)
            path = Relay(g, hub)
            sink = system.sink(g, hub.at, n)
            source = system.source(g, path.at, self.env.data(n, 64 * KIB))
            expect(sink.result(), n)
            end_source(source)
            yield 'longest, bytes', path.stats('up')['longest']


ALL = (Start, Limit, Packets, Throughput, FanOut, Latency, Isolation, Lossy,
       Idle, Handshakes, Syscalls)

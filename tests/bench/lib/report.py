# SPDX-License-Identifier: ISC
"""What a results file says: medians, the table of targets, and plots."""

import collections
import json
import os
import re
import statistics
import subprocess

from .systems import ALL as SYSTEMS

TITLES = {s.name: s.title for s in SYSTEMS}
ORDER = list(TITLES)
Stat = collections.namedtuple('Stat', 'median least most runs')


class Results:
    def __init__(self, path):
        with open(path, encoding='utf-8') as f:
            found = json.load(f)
        self.path = path
        self.about = found['about']
        self.failures = found['failures']
        self.rmem = self.about['rmem_max'][-1]
        values = collections.defaultdict(list)
        for s in found['samples']:
            for metric, value in s['values'].items():
                values[s['case'], s['point'], metric, s['rmem_max'],
                       s['system']].append(value)
        self.stats = {k: Stat(statistics.median(v), min(v), max(v), len(v))
                      for k, v in values.items()}

    def median(self, case, point, metric, system, rmem=None):
        """None where it was not measured."""
        found = self.stats.get((case, point, metric, rmem or self.rmem, system))
        return found.median if found else None

    def points(self, case, metric, system):
        return sorted(k[1] for k in self.stats
                      if (k[0], k[2], k[3], k[4]) ==
                      (case, metric, self.rmem, system))


def number(v):
    """Three digits that count."""
    return f'{float(f"{v:.3g}"):,.0f}' if v >= 1000 else f'{v:.3g}'


def table(results):
    """Every metric: median (min-max) of each system, as text."""
    lines = []
    cells = collections.defaultdict(dict)
    for (case, point, metric, rmem, system), stat in results.stats.items():
        cells[case, point, metric, rmem][system] = stat
    last = None
    for (case, point, metric, rmem), of in cells.items():
        head = case if point is None else f'{case} {point}'
        if rmem != results.rmem:
            head += f' (rmem_max {rmem})'
        if head != last:
            lines += ['', f'{head}']
            last = head
        lines.append(f'  {metric}')
        for system in sorted(of, key=ORDER.index):
            s = of[system]
            spread = (f' ({number(s.least)} - {number(s.most)})'
                      if s.runs > 1 else '')
            lines.append(f'    {TITLES[system]:16} {number(s.median):>12}'
                         f'{spread}')
    for f in results.failures:
        lines.append(f"failed: {f['case']} {f['point']} {f['system']}: "
                     f"{f['why']}")
    return '\n'.join(lines)


# -- targets --

def quotient(a, b):
    return a / b if a is not None and b else None


def against(case, point, metric, peer):
    def ratio(r):
        return quotient(r.median(case, point, metric, 'ours'),
                        r.median(case, point, metric, peer))
    return ratio


def rate(size, peer):
    return against('throughput', size, 'messages/s', peer)


def two_hops(r):
    """Our three processes to bare ngtcp2's two, twice, at the same packet size."""
    longest = r.median('packets', None, 'longest, bytes', 'ours')
    bare = r.median('limit', longest and int(longest), 'cpu, ns/byte', 'ngtcp2')
    return quotient(r.median('throughput', 65536, 'cpu, ns/byte', 'ours'),
                    bare and 2 * bare)


def late(percentile, ours, go):
    def ratio(r):
        return quotient(r.median('latency', ours, percentile, 'ours'),
                        r.median('latency', go, percentile, 'go'))
    return ratio


def isolated(r):
    return quotient(r.median('isolation', 'beside', 'p99, us', 'ours'),
                    r.median('isolation', 'alone', 'p99, us', 'ours'))


def delivered(r):
    found = r.median('isolation', 'beside', 'delivered, %', 'ours')
    return found and found / 100


def megabytes(metric):
    def value(r):
        found = r.median('start', None, metric, 'ours')
        return found and found * 1024 / 1e6
    return value


AT_LEAST, AT_MOST = '>=', '<='

# What, against whom, how to compare, floor, goal, and where the value is from.
TARGETS = (
    ('64 B messages, source -> zipper -> sfn', 'Go YoMo', AT_LEAST, 25, 50,
     rate(64, 'go')),
    ('64 B messages', 'mosquitto, TLS, QoS 0', AT_LEAST, 8, 15,
     rate(64, 'mosquitto')),
    ('64 B messages', 'NATS with TLS', AT_LEAST, 1, 2, rate(64, 'nats-tls')),
    ('1 KiB messages', 'NATS with TLS', AT_LEAST, 1, 2.5,
     rate(1024, 'nats-tls')),
    ('64 KiB messages', 'Go YoMo', AT_LEAST, 12, 20, rate(65536, 'go')),
    ('64 KiB messages', 'NATS with TLS', AT_LEAST, 2, 4,
     rate(65536, 'nats-tls')),
    ('64 KiB messages: CPU-ns per byte over three processes',
     'bare ngtcp2, one hop, same packet size, doubled', AT_MOST, 1 / 0.7,
     1 / 0.9, two_hops),
    ('1 source to 100 observers, 1 KiB, deliveries/s', 'Go YoMo', AT_LEAST, 10,
     30, against('fanout', 100, 'deliveries/s', 'go')),
    ('p50 at 1,000/s', 'Go YoMo at 1,000/s', AT_MOST, 0.5, 0.25,
     late('p50, us', 1000, 1000)),
    ('p99 at 1,000/s', 'Go YoMo at 1,000/s', AT_MOST, 0.5, 0.25,
     late('p99, us', 1000, 1000)),
    ('p50 at 100,000/s', 'Go YoMo at 10,000/s', AT_MOST, 0.5, 0.25,
     late('p50, us', 100000, 10000)),
    ('p99 at 100,000/s', 'Go YoMo at 10,000/s', AT_MOST, 0.5, 0.25,
     late('p99, us', 100000, 10000)),
    ('other tags beside a stuck observer, delivered', 'all that were sent',
     AT_LEAST, 1, 1, delivered),
    ('other tags beside a stuck observer, p99', 'itself without', AT_MOST, 1.5,
     1.1, isolated),
    ('p99 of tag B while A runs in bulk, 20 ms, 0.5 % lost', 'Go YoMo',
     AT_MOST, 0.5, 0.3, against('lossy', '0.5 % lost', 'p99, us', 'go')),
    ('memory per idle connection at the zipper', 'Go YoMo', AT_MOST, 0.4, 0.2,
     against('idle', 1000, 'bytes/connection', 'go')),
    ('full handshakes per second and core', 'Go YoMo', AT_LEAST, 2, 4,
     against('handshakes', None, 'handshakes/s of hub cpu', 'go')),
    ('zipper RSS at start, MB', '', AT_MOST, 8, 6, megabytes('hub RSS, KiB')),
    ('zipper RssAnon at start, MB', '', AT_MOST, 3, 2,
     megabytes('hub RssAnon, KiB')),
)


def meets(value, how, bound):
    return value >= bound if how == AT_LEAST else value <= bound


def verdict(value, how, floor, goal):
    if value is None:
        return 'not measured'
    if meets(value, how, goal):
        return 'goal'
    return 'floor' if meets(value, how, floor) else '**missed**'


def targets(results):
    """In Markdown."""
    lines = ['| load | against | floor | goal | measured | |',
             '| --- | --- | --- | --- | --- | --- |']
    for load, peer, how, floor, goal, measure in TARGETS:
        v = measure(results)
        shown = '-' if v is None else f'{v:.3g}'
        lines.append(f'| {load} | {peer} | {how} {floor:.3g} | {how} {goal:.3g} '
                     f'| {shown} | {verdict(v, how, floor, goal)} |')
    return '\n'.join(lines)


# -- the page --

def machine(results):
    a = results.about
    versions = ', '.join(f'{TITLES[n]}: {v}' for n, v in a['versions'].items()
                         if v)
    return (f"{a['cpu']}, {a['cores']} cores, Linux {a['kernel']}, load "
            f"{a['load']} at the beginning; commit {a['commit']}, {a['date']}; "
            f"{a['runs']} runs of {2 * a['scale'] / 100:g} s; rmem_max "
            f"{' and '.join(map(str, a['rmem_max']))}. {versions}.")


def grid(results, title, rows):
    """Rows of (label, case, point, metric), a column for each system."""
    known = [s for s in ORDER if any(
        (case, point, metric, results.rmem, s) in results.stats
        for _, case, point, metric in rows)]
    lines = [f'| {title} | ' + ' | '.join(TITLES[s] for s in known) + ' |',
             '| --- |' + ' ---: |' * len(known)]
    for label, *where in rows:
        cells = [results.stats.get((*where, results.rmem, s)) for s in known]
        shown = ['-' if c is None else number(c.median) if c.runs == 1 else
                 f'{number(c.median)} ({number(c.least)}-{number(c.most)})'
                 for c in cells]
        if any(cells):
            lines.append(f'| {label} | ' + ' | '.join(shown) + ' |')
    return '\n'.join(lines)


def size_text(size):
    for unit, name in ((1 << 20, 'MiB'), (1 << 10, 'KiB')):
        if size >= unit:
            return f'{size // unit} {name}'
    return f'{size} B'


def by_point(results, case, metric, label):
    points = results.points(case, metric, 'ours')
    return [(label(p), case, p, metric) for p in points]


def rates(results):
    return grid(results, 'messages/s', by_point(
        results, 'throughput', 'messages/s', size_text))


def costs(results):
    rows = []
    for size in (64, 1024, 65536):
        rows += [(f'CPU-ns a message of {size_text(size)}, {role}',
                  'throughput', size, f'cpu {role}, ns/message')
                 for role in ('source', 'hub', 'sink')]
        rows.append((f'CPU-ns a byte of {size_text(size)}, all', 'throughput',
                     size, 'cpu, ns/byte'))
        rows += [(f'system calls a message of {size_text(size)}, {role}',
                  'syscalls', size, f'syscalls {role}/message')
                 for role in ('source', 'hub', 'sink')]
    rows += [('hub, KiB at start', 'start', None, 'hub RSS, KiB'),
             ('the same, anonymous', 'start', None, 'hub RssAnon, KiB'),
             ('hub, KiB at most, 64 KiB messages', 'throughput', 65536,
              'hub peak, KiB')]
    rows += by_point(results, 'idle', 'bytes/connection',
                     lambda n: f'bytes an idle connection, of {n}')
    return grid(results, 'cost', rows)


def lateness(results):
    rows = []
    for metric in ('p50, us', 'p99, us'):
        name = metric.partition(',')[0]
        rows += by_point(results, 'latency', metric,
                         lambda n, name=name: f'{name} at {n:,}/s')
        rows += by_point(
            results, 'isolation', metric, lambda how, name=name:
            f'{name}, {how}{" a stuck observer" if how == "beside" else ""}')
        rows += by_point(results, 'lossy', metric, lambda path, name=name:
                         f'{name} beside bulk, {path}')
    rows += by_point(results, 'lossy', 'bulk, MB/s',
                     lambda path: f'that bulk, {path}, MB/s')
    return grid(results, 'how late, us', rows)


def crowds(results):
    rows = by_point(results, 'fanout', 'deliveries/s',
                    lambda n: f'deliveries/s to {n:,} observers')
    rows += [('handshakes/s', 'handshakes', None, 'handshakes/s'),
             ('handshakes in a second of the hub\'s processor time',
              'handshakes', None, 'handshakes/s of hub cpu')]
    return grid(results, 'many at once', rows)


PARTS = {'machine': machine, 'targets': targets, 'rates': rates,
         'lateness': lateness, 'crowds': crowds, 'costs': costs}


def write_page(results, path):
    """Fill what stands between the page's markers."""
    with open(path, encoding='utf-8') as f:
        text = f.read()
    for name, make in PARTS.items():
        mark = re.compile(rf'(<!-- {name} -->\n).*?(<!-- end -->)', re.S)
        part = make(results)
        text = mark.sub(lambda m, part=part: f'{m[1]}{part}\n{m[2]}', text)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


# -- plots --

# File, title, case, metric, what x is; always log-log.
PLOTS = (
    ('throughput', 'Source to sink, by message size', 'throughput', 'MB/s',
     'bytes in a message'),
    ('rate', 'Source to sink, by message size', 'throughput', 'messages/s',
     'bytes in a message'),
    ('fanout', 'One source to many observers, 1 KiB messages', 'fanout',
     'deliveries/s', 'observers'),
    ('latency-p50', 'How late messages come, median', 'latency', 'p50, us',
     'messages/s'),
    ('latency-p99', 'How late messages come, 99 of 100', 'latency', 'p99, us',
     'messages/s'),
    ('idle', 'Memory of the hub for each idle connection', 'idle',
     'bytes/connection', 'connections'),
)

GNUPLOT = '''\
set terminal svg size 720,440 dynamic font "sans-serif,13" background "white"
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set logscale xy
set format y "%.0s%c"
set format x "%.0s%c"
set grid
set key outside right
set style data yerrorlines
plot {lines}
'''


def plot(results, folder, stem, name, title, case, metric, x):
    blocks, lines = [], []
    for i, system in enumerate(ORDER):
        points = results.points(case, metric, system)
        if not points:
            continue
        rows = []
        for p in points:
            s = results.stats[case, p, metric, results.rmem, system]
            rows.append(f'{p} {s.median} {s.least} {s.most}')
        blocks.append('\n'.join([f'$s{i} << E', *rows, 'E']))
        lines.append(f"$s{i} using 1:2:3:4 title '{TITLES[system]}' "
                     f'linecolor {i + 1} pointtype {i + 4}')
    if not lines:
        return
    script = GNUPLOT.format(title=title, x=x, y=metric,
                            lines=', \\\n'.join(lines))
    done = subprocess.run(['gnuplot'], input='\n'.join([*blocks, script]),
                          capture_output=True, text=True, check=True)
    with open(os.path.join(folder, f'{stem}-{name}.svg'), 'w',
              encoding='utf-8') as f:
        f.writelines(line.rstrip() + '\n' for line in done.stdout.splitlines())


def plots(results, folder, stem):
    for p in PLOTS:
        plot(results, folder, stem, *p)

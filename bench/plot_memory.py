#!/usr/bin/env python3
"""Draws what bench/seed_case.py measured: memory over time, the plan beside it, and what others took for the same.

  bench/plot_memory.py seed.json docs/memory-seed.svg --title "Granite 2.5 B with images"
"""
import argparse
import json
import pathlib
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 430
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 50, 60
# The same case elsewhere, bytes, at load and before any token (with a projector of 0.85 GB).
OTHERS = [(11.5e9, "Ollama 0.5.13-rc2, claimed: 11.5 GB"), (7.9e9, "Ollama 0.32, measured at load: 7.9 GB (0.5.13-rc2: 7.8)"),
          (7.3e9, "Ollama 0.32, claimed: 7.3 GB")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", help="JSON of bench/seed_case.py")
    parser.add_argument("svg")
    parser.add_argument("--title", default="Memory over time")
    parser.add_argument("--no-others", action="store_true", help="without the lines of other programs")
    return parser.parse_args()


class Plot:
    def __init__(self, seconds, most):
        self.seconds, self.most, self.parts = seconds, most, []

    def x(self, t):
        return LEFT + t / self.seconds * (WIDTH - LEFT - RIGHT)

    def y(self, n):
        return HEIGHT - BOTTOM - n / self.most * (HEIGHT - TOP - BOTTOM)

    def line(self, x1, y1, x2, y2, style):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')

    def text(self, x, y, text, anchor="start", size=12, fill="#333"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{escape(text)}</text>')

    def path(self, points, style, close=False):
        steps = " ".join(f"{'M' if i == 0 else 'L'}{self.x(t):.1f} {self.y(n):.1f}" for i, (t, n) in enumerate(points))
        self.parts.append(f'<path d="{steps}{" Z" if close else ""}" {style}/>')


def axes(p):
    step = next(s for s in (0.25e9, 0.5e9, 1e9, 2e9, 5e9) if p.most / s <= 8)
    n = 0
    while n <= p.most:
        p.line(LEFT, p.y(n), WIDTH - RIGHT, p.y(n), 'stroke="#e4e4e4"')
        p.text(LEFT - 6, p.y(n) + 4, f"{n / 1e9:g} GB", "end")
        n += step
    step = next(s for s in (5, 10, 20, 30, 60, 120, 300, 600, 1200) if p.seconds / s <= 12)
    for t in range(0, int(p.seconds) + 1, step):
        p.line(p.x(t), p.y(0), p.x(t), p.y(0) + 4, 'stroke="#888"')
        p.text(p.x(t), p.y(0) + 18, f"{t} s", "middle", 11)
    p.line(LEFT, p.y(0), WIDTH - RIGHT, p.y(0), 'stroke="#888"')


def phases(p, samples):
    """Each phase's name above its part; where it is too short for the name, a number and the name below."""
    begin, notes = 0, []
    for i, s in enumerate(samples):
        last = i + 1 == len(samples)
        if not last and samples[i + 1]["phase"] == s["phase"]:
            continue
        t0, t1 = samples[begin]["t"], s["t"]
        if begin > 0:
            p.line(p.x(t0), TOP - 6, p.x(t0), p.y(0), 'stroke="#bbb" stroke-dasharray="2 3"')
        if p.x(t1) - p.x(t0) > 6.2 * len(s["phase"]):
            p.text((p.x(t0) + p.x(t1)) / 2, TOP - 10, s["phase"], "middle", 11, "#555")
        else:
            notes.append(s["phase"])
            p.text((p.x(t0) + p.x(t1)) / 2, TOP - 10, str(len(notes)), "middle", 11, "#555")
        begin = i + 1
    return notes


def draw(args, measured):
    samples = measured["samples"]
    seconds = samples[-1]["t"]
    most = max(max(s["runner"] + s["server"] for s in samples), 0 if args.no_others else OTHERS[0][0]) * 1.06
    p = Plot(seconds, most)
    axes(p)
    notes = phases(p, samples)
    if not args.no_others:
        for n, name in OTHERS:
            p.line(LEFT, p.y(n), WIDTH - RIGHT, p.y(n), 'stroke="#b4552d" stroke-width="1.5" stroke-dasharray="7 4"')
            p.text(WIDTH - RIGHT - 4, p.y(n) + (14 if n == 7.3e9 else -5), name, "end", 12, "#b4552d")
    curve = [(s["t"], s["runner"] + s["server"]) for s in samples]
    p.path([(samples[0]["t"], 0), *curve, (seconds, 0)], 'fill="#7fa6c9" fill-opacity="0.6" stroke="none"', True)
    p.path(curve, 'fill="none" stroke="#2f5f8a" stroke-width="1.5"')
    plan = [(s["t"], s["planned"]) for s in samples if s.get("planned")]
    if plan:
        p.path(plan, 'fill="none" stroke="#111" stroke-width="1.3" stroke-dasharray="3 3"')
    files = measured["file_bytes"] + measured["projector_bytes"]
    p.line(LEFT, p.y(files), WIDTH - RIGHT, p.y(files), 'stroke="#3a7d44" stroke-width="1"')
    p.text(LEFT + 30, p.y(files) + 14, f"the files: {files / 1e9:.2f} GB", "start", 11, "#255c2e")
    p.text(LEFT, 20, args.title, "start", 15, "#111")
    y = HEIGHT - 22
    p.parts.append(f'<rect x="{LEFT}" y="{y - 9}" width="14" height="10" fill="#7fa6c9" stroke="#2f5f8a"/>')
    p.text(LEFT + 20, y, "Quipu, measured: PSS of server and runner")
    p.line(LEFT + 300, y - 4, LEFT + 326, y - 4, 'stroke="#111" stroke-width="1.3" stroke-dasharray="3 3"')
    p.text(LEFT + 332, y, "Quipu's plan at that moment")
    if notes:
        p.text(LEFT, HEIGHT - 5, "   ".join(f"{i + 1}: {name}" for i, name in enumerate(notes)), "start", 11, "#555")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n' + "\n".join(p.parts) + "\n</svg>\n")


def main():
    args = parse()
    measured = json.loads(pathlib.Path(args.measured).read_text(encoding="utf-8"))
    pathlib.Path(args.svg).write_text(draw(args, measured), encoding="utf-8")


if __name__ == "__main__":
    main()

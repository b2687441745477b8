"""Bars of a comparison: each step a group, each tool a bar, as long as its median wall time."""
import statistics
from xml.sax.saxutils import escape

COLOURS = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568", "#b7791f", "#2c7a7b"]
LABELS, WIDTH, BAR = 130, 620, 15


def chart(title: str, runs: list[dict]) -> str:
    names = list(runs[0])
    steps = [step for step, row in runs[0][names[0]].items() if "wall" in row and step != "init"]
    sizes = [step for step in runs[0][names[0]] if step.startswith("size")][-1:]
    body, y = [text(10, 22, f"{title}: median of {len(runs)}", 14)], 40
    for place, name in enumerate(names):
        body.append(rectangle(LABELS + place * 90, y, 10, COLOURS[place % len(COLOURS)]))
        body.append(text(LABELS + place * 90 + 15, y + 10, name))
    y += 28
    for step in steps + sizes:
        key, unit, scale = ("wall", "s", 1) if step in steps else ("bytes", "MB", 1e6)
        values = [statistics.median(run[name][step][key] for run in runs) / scale for name in names]
        longest = max(values) or 1
        body.append(text(10, y + BAR * len(names) / 2 + 4, step if key == "wall" else "repository"))
        for place, value in enumerate(values):
            length = max(1, value / longest * WIDTH)
            body.append(rectangle(LABELS, y, length, COLOURS[place % len(COLOURS)]))
            body.append(text(LABELS + length + 6, y + BAR - 4, f"{value:.2f} {unit}"))
            y += BAR
        y += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + WIDTH + 100}" height="{y + 10}" '
            'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def text(x: float, y: float, words: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}">{escape(words)}</text>'


def rectangle(x: float, y: float, length: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>'

"""Pictures of a comparison: each step a group of bars, each tool a bar as long as its median wall time; or lines."""
import math
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


def lines(title: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Values over generations, on a scale that doubles: tools lie far apart. A lone point is drawn as one."""
    points = [point for line in series.values() for point in line]
    right, height, top = max(x for x, _ in points), 380, 40
    low = math.floor(math.log2(min(y for _, y in points)))
    high = max(math.ceil(math.log2(max(y for _, y in points))), low + 1)
    place = lambda x, y: (LABELS / 2 + x / right * WIDTH, top + height - (math.log2(y) - low) / (high - low) * height)
    body = [text(10, 22, title, 14)]
    for power in range(low, high + 1):
        y = place(0, 2.0 ** power)[1]
        body.append(f'<path d="M{LABELS / 2} {y:.1f}h{WIDTH}" stroke="#cbd5e0"/>' + text(20, y + 4, f"{2.0 ** power:g}"))
    for x in sorted({x for x, _ in points}):
        body.append(text(place(x, 2.0 ** low)[0] - 6, top + height + 16, f"{x:g}"))
    for number, (name, line) in enumerate(series.items()):
        # A tool's two lines have one colour.
        colour, dashes = COLOURS[number // 2 % len(COLOURS)], ' stroke-dasharray="5 4"' if number % 2 else ""
        spots = [place(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in spots]
        legend = top + 10 + number * 18
        body.append(f'<path d="M{LABELS / 2 + WIDTH + 20} {legend}h28" stroke="{colour}" stroke-width="2"{dashes}/>')
        body.append(text(LABELS / 2 + WIDTH + 54, legend + 4, name))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + WIDTH + 220}" height="{top + height + 30}" '
            'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def text(x: float, y: float, words: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}">{escape(words)}</text>'


def rectangle(x: float, y: float, length: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>'

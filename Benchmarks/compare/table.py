#!/usr/bin/env python3
"""Medians over several results of scenario.py, as a Markdown table. usage: table.py RESULT.json..."""
import json
import statistics
import sys


def main():
    runs = [json.load(open(path))["results"] for path in sys.argv[1:]]
    if not runs:
        sys.exit(__doc__)
    tools = list(runs[0])
    steps = [step for step in runs[0][tools[0]] if not step.startswith("repo-")]
    print(f"Median of {len(runs)}: wall seconds (cpu seconds, peak RSS in MB)\n")
    print("| step | " + " | ".join(tools) + " |")
    print("|---|" + "---|" * len(tools))
    for step in steps:
        cells = []
        for tool in tools:
            rows = [run[tool][step] for run in runs]
            if any(row["rc"] or row.get("differs") for row in rows):
                cells.append("failed")
                continue
            middle = {key: statistics.median(row[key] or 0 for row in rows) for key in ("wall", "cpu", "rss_mb")}
            cells.append(f"{middle['wall']:.2f} ({middle['cpu']:.2f}, {middle['rss_mb']:.0f})")
        print(f"| {step} | " + " | ".join(cells) + " |")
    for key in [key for key in runs[0][tools[0]] if key.startswith("repo-")]:
        sizes = [statistics.median(run[tool][key] for run in runs) / 1e6 for tool in tools]
        print(f"| repository after version {key[5:]}, MB | " + " | ".join(f"{size:.1f}" for size in sizes) + " |")


main()

"""Bars, as an SVG that follows the reader's light or dark mode."""

from xml.sax.saxutils import escape

WIDTH, LABEL, ROW, TOP = 720, 150, 26, 44
STYLE = """
    text { font: 13px sans-serif; fill: #222 }
    .title { font-weight: bold }
    .bar { fill: #9aa5b1 }
    .ours { fill: #2f6fde }
    @media (prefers-color-scheme: dark) { text { fill: #ddd } .bar { fill: #5d6875 } .ours { fill: #6ea0ff } }
"""


def bars(title, rows, ours):
    """`rows`: (name, value, text beside the bar). Those in `ours` stand out."""
    longest = max(value for _, value, _ in rows)
    room = WIDTH - LABEL - 130
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + ROW * len(rows)}" role="img">',
             f"<title>{escape(title)}</title><style>{STYLE}</style>",
             f'<text class="title" x="8" y="24">{escape(title)}</text>']
    for number, (name, value, text) in enumerate(rows):
        y = TOP + ROW * number
        width = max(1, value / longest * room)
        parts.append(f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
                     f'<rect class="{"ours" if name in ours else "bar"}" x="{LABEL}" y="{y}" width="{width:.1f}" '
                     f'height="18"/>'
                     f'<text x="{LABEL + width + 8:.1f}" y="{y + 14}">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>", ""])

"""The style of a page, light and dark."""

from __future__ import annotations

__all__ = ["STYLE"]

#: Images stand on a dark frame in both schemes: a radiologist's eye adapts to the frame.
STYLE = """
:root { color-scheme: light dark; --ink: #1b2127; --soft: #5b6570; --line: #dfe3e8;
  --paper: #fbfbfa; --card: #ffffff; --panel: #0d1013; --code: #0d1013;
  --yes: #2e7d4f; --no: #b3372f; --doubt: #8a5a10; --neutral: #55606b;
  --yes-card: #eef6f0; --no-card: #fbeeed; --doubt-card: #fdf6e8; --neutral-card: #f1f3f5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ec; --soft: #a4aeb8; --line: #2c343c; --paper: #15191d; --card: #1d2329;
    --panel: #0a0c0f; --code: #0a0c0f;
    --yes: #7fd1a0; --no: #ff9c93; --doubt: #f0c065; --neutral: #a4aeb8;
    --yes-card: #16291d; --no-card: #331c1b; --doubt-card: #312816; --neutral-card: #1f262c; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
header h1 { font-size: 1.55rem; line-height: 1.25; margin: 0; font-weight: 650;
  overflow-wrap: anywhere; }
header p { margin: .3rem 0 0; color: var(--soft); }
h2 { font-size: 1.02rem; margin: 2rem 0 .6rem; font-weight: 650; }
section > p { color: var(--soft); margin: -.2rem 0 .8rem; max-width: 75ch; font-size: .92rem; }
.verdicts { display: grid; gap: .8rem; grid-template-columns: repeat(3, minmax(0, 1fr));
  margin: 1.4rem 0 0; }
.finding { padding: .7rem 1rem .8rem; border-top: 4px solid; border-radius: 4px; }
.finding h2 { margin: 0; font-size: .82rem; font-weight: 600; color: var(--soft); }
.finding p { margin: .3rem 0 0; font-size: .88rem; overflow-wrap: anywhere; }
.finding .answer { margin: 0; font-size: 1.15rem; font-weight: 700; }
.finding .answer small { font-size: .82rem; font-weight: 400; color: var(--soft); }
.finding .advice { color: var(--soft); }
.yes { border-color: var(--yes); background: var(--yes-card); } .yes .answer { color: var(--yes); }
.no { border-color: var(--no); background: var(--no-card); } .no .answer { color: var(--no); }
.unchecked { border-color: var(--neutral); background: var(--neutral-card); }
.unchecked .answer { color: var(--neutral); }
.warnings, .remarks { margin: .8rem 0 0; padding: .75rem 1.1rem; border-left: 5px solid;
  border-radius: 4px; }
.warnings h2 { margin: 0; color: var(--doubt); }
.warnings ul, .remarks ul { margin: .3rem 0 0; padding-left: 1.1rem; }
.warnings, .doubtful { border-color: var(--doubt); background: var(--doubt-card); }
.good { border-color: var(--line); background: var(--card); }
.contradiction { border-color: var(--no); background: var(--no-card); }
.panels { display: grid; gap: .8rem; grid-template-columns: repeat(3, minmax(0, 1fr));
  align-items: stretch; }
.panels.four { grid-template-columns: repeat(4, minmax(0, 1fr)); }
figure { margin: 0; background: var(--panel); color: #c9d1d9; border-radius: 6px;
  overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
audio { display: block; width: calc(100% - 1.6rem); margin: .2rem .8rem .7rem; }
[data-listen] + .panels { margin-top: .8rem; }
figcaption { padding: .55rem .8rem; font-size: .88rem; font-weight: 600; color: #eef2f5; }
figure span { display: block; padding: .35rem .8rem .65rem; font-size: .8rem; color: #98a3ad; }
.bench { display: grid; gap: .8rem 1.6rem; align-items: start;
  grid-template-columns: minmax(0, 640px) minmax(0, 1fr); }
.bench.many { grid-template-columns: minmax(0, 1fr); }
.bench .controls { margin-top: 0; } .bench p { color: var(--soft); font-size: .88rem;
  max-width: 75ch; margin: .4rem 0 0; }
.stages { display: grid; gap: .8rem; grid-template-columns: minmax(0, 640px); }
.stages.many { grid-template-columns: repeat(2, minmax(0, 560px)); align-items: start; }
.face h3 { margin: 0 0 .2rem; font-size: .88rem; font-weight: 600; }
.face label { display: block; font-size: .88rem; } .face label span { display: block; }
.face input { width: 100%; }
.stage { position: relative; background: var(--panel); border-radius: 6px; overflow: hidden; }
.viewer canvas { display: block; width: 100%; cursor: crosshair; touch-action: none; }
.copy { position: relative; transform-origin: center; }
.edge { position: absolute; top: 0; bottom: 0; width: calc(2px / var(--zoom, 1)); margin-left: -1px;
  background: #f0a35e; pointer-events: none; }
.cross { position: absolute; background: #f0a35e; opacity: .8; pointer-events: none; }
.cross.row { left: 0; right: 0; height: calc(1px / var(--zoom, 1)); }
.cross.column { top: 0; bottom: 0; width: calc(1px / var(--zoom, 1)); }
.letter { position: absolute; color: #fff; background: #0d1013b3; border-radius: 3px;
  padding: 0 .3rem; font-size: .85rem; font-weight: 600; pointer-events: none;
  transform: translate(-50%, -50%); }
.letter.left { left: .9rem; top: 50%; } .letter.right { right: .9rem; top: 50%;
  transform: translate(50%, -50%); }
.letter.top { top: .9rem; left: 50%; } .letter.bottom { bottom: .9rem; left: 50%;
  transform: translate(-50%, 50%); }
.picture { position: relative; }
.lens { position: absolute; overflow: hidden; touch-action: pan-y; }
.lens .copy { position: absolute; inset: 0; visibility: hidden; }
.lens .copy img { position: absolute; max-width: none; }
.lens .letter { visibility: hidden; }
.lens.zoomed { background: var(--panel); cursor: grab; touch-action: none; }
.lens.zoomed .copy, .lens.zoomed .letter { visibility: visible; }
.lens:focus-visible, .stage:focus-visible { outline: 3px solid #f0a35e; outline-offset: -3px; }
.zoom { display: flex; gap: .4rem; align-items: center; margin: .5rem 0; font-size: .88rem; }
.zoom button { font: inherit; min-width: 2rem; padding: .1rem .5rem; }
.zoom output, .readout, .spectra output { color: var(--soft); font-variant-numeric: tabular-nums; }
fieldset { border: 1px solid var(--line); border-radius: 4px; padding: .3rem .8rem .5rem;
  margin: 0; min-width: 0; }
.check { display: inline-block; margin-right: .6rem; }
.controls .check input { width: auto; }
.legend { color: var(--soft); }
.legend i { display: inline-block; width: .9rem; height: .7rem; margin: 0 .35rem; }
.legend i.bar { width: 6rem; border: 1px solid var(--line); }
[hidden] { display: none !important; }
.readout { grid-column: 1 / -1; min-height: 1.5em; font-size: .88rem; }
.spectra .pair { display: grid; gap: .8rem; align-items: start;
  grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); }
.spectra .stage { cursor: crosshair; } .spectra .stage img { display: block; width: 100%; }
.spectra .stage.held .cross { opacity: 1; background: #fff; }
.spectra .chart { background: var(--panel); border-radius: 6px; overflow: hidden; }
.spectra canvas { display: block; width: 100%; height: 300px; }
.spectra output { display: block; font-size: .9rem; margin: .3rem 0; min-height: 3em; }
.key { margin: 0; display: flex; flex-wrap: wrap; gap: .2rem .9rem; align-items: center; }
.key i { display: inline-block; width: 1.1rem; height: .2rem; margin-right: .35rem;
  vertical-align: middle; }
.key i.pale { height: .7rem; opacity: .5; } .key i.dot { width: .3rem; height: .6rem; }
.controls { display: grid; gap: .5rem 1.2rem; grid-template-columns: repeat(2, minmax(0, 1fr));
  max-width: 720px; margin: .7rem 0; font-size: .88rem; }
.controls label span { display: block; }
.controls input, .controls select { width: 100%; font: inherit; }
.controls button, [data-switch] button { font: inherit; padding: .15rem .7rem;
  margin-right: .4rem; }
[data-switch] { color: var(--soft); font-size: .92rem; }
[data-switch] button[aria-pressed="true"] { font-weight: 700; outline: 2px solid var(--yes); }
.tables { display: grid; gap: 0 2rem; grid-template-columns: repeat(2, minmax(0, 1fr));
  align-items: start; }
.tables details, .tables .wide { grid-column: 1 / -1; } .tables details { margin-top: 1.6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .9rem .34rem 0;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
tbody th { font-weight: 400; color: var(--soft); white-space: nowrap; }
td { overflow-wrap: anywhere; } .wide td { white-space: nowrap; }
pre + details { margin-top: .7rem; }
thead th { font-weight: 600; }
summary { cursor: pointer; font-weight: 650; }
pre { background: var(--code); color: #dfe6ec; padding: .85rem 1rem; border-radius: 6px;
  overflow-x: auto; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
pre.paste { background: var(--card); color: var(--ink); border: 1px solid var(--line);
  font-family: inherit; user-select: all; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .82rem; }
@media (max-width: 900px) {
  .panels, .panels.four { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .bench { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 620px) {
  main { padding: 1.2rem .9rem 2rem; }
  header h1 { font-size: 1.25rem; }
  .panels, .panels.four, .tables, .verdicts, .stages.many, .spectra .pair {
    grid-template-columns: minmax(0, 1fr); }
}
@media print { body { background: #fff; } figure, pre { print-color-adjust: exact; } }
"""

/**
 * The one style sheet. Every pair of text and ground has a contrast of 4.5 or more in both themes, edges have 3 or more;
 * widths of texts in drawings are reckoned in advance, which a monospaced font makes possible.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f4f6f8; --text: #1b1f24; --muted: #515a64; --edge: #78818b; --faint: #d3d8de;
  --accent: #0a58ba; --ok: #0b4f1e; --ok-ground: #d9f5e0; --bad: #8a0f18; --bad-ground: #ffe3e0;
  --warn: #5a4200; --warn-ground: #fff0c2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10141a; --panel: #1a2028; --text: #e6edf3; --muted: #a9b4bf; --edge: #76818d; --faint: #313a45;
    --accent: #84bdff; --ok: #a3ebb5; --ok-ground: #12341d; --bad: #ffb9b3; --bad-ground: #471519;
    --warn: #f5da80; --warn-ground: #3a2d08;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 16px 24px 48px; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 8px 0 0; }
h2 { font-size: 1.3rem; margin: 40px 0 8px; border-bottom: 1px solid var(--edge); }
h3 { font-size: 1.05rem; margin: 28px 0 4px; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 24px; top: 8px; padding: 4px 8px; background: var(--ground); }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; list-style: none; }
.muted { color: var(--muted); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; margin: 16px 0; padding: 0; }
.summary div { border: 1px solid var(--edge); border-radius: 6px; padding: 8px 12px; background: var(--panel); }
.summary dt { color: var(--muted); }
.summary dd { margin: 0; }
.scroll { position: relative; overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; min-width: 26rem; font-size: 0.9rem; }
caption { text-align: left; color: var(--muted); padding: 4px 0; }
th, td { border: 1px solid var(--faint); padding: 3px 8px; text-align: left; vertical-align: top; overflow-wrap: normal; }
thead th { background: var(--panel); }
td { font-variant-numeric: tabular-nums; }
.matrix td { text-align: center; white-space: nowrap; }
.matrix th { white-space: nowrap; }
.matrix thead span { writing-mode: vertical-rl; white-space: normal; overflow-wrap: anywhere; max-height: 15em; }
span.ok, span.bad, span.warn { border-radius: 4px; padding: 0 5px; }
.ok { color: var(--ok); background: var(--ok-ground); }
.bad { color: var(--bad); background: var(--bad-ground); }
.warn { color: var(--warn); background: var(--warn-ground); }
td.none { color: var(--muted); }
.sign { font-weight: 700; }
summary { cursor: pointer; padding: 4px 0; }
svg { display: block; min-width: 760px; max-width: 100%; height: auto; }
svg .label { font: 12px ui-monospace, 'DejaVu Sans Mono', 'Liberation Mono', monospace; fill: var(--text); white-space: pre; }
svg .label.strong { font-weight: 700; }
svg .label.muted { fill: var(--muted); }
svg .label.on-ok { fill: var(--ok); }
svg .label.on-bad { fill: var(--bad); }
svg .label.on-warn { fill: var(--warn); }
.lane, .peer { fill: var(--panel); stroke: var(--edge); }
.host { fill: var(--ground); stroke: var(--edge); stroke-dasharray: 2 3; }
.machine { fill: var(--ground); stroke: var(--edge); stroke-width: 1.5; }
.machine.ok { fill: var(--ok-ground); stroke: var(--ok); }
.machine.bad { fill: var(--bad-ground); stroke: var(--bad); stroke-width: 3; }
.machine.warn { fill: var(--warn-ground); stroke: var(--warn); }
.machine.leaving { stroke-dasharray: 6 4; }
.inner { fill: none; stroke: var(--edge); }
.wire { stroke: var(--edge); stroke-width: 2; }
.bar { fill: var(--panel); stroke: var(--edge); }
.bar.pod { fill: var(--ok-ground); stroke: var(--ok); }
.header { fill: var(--warn-ground); stroke: var(--warn); }
.gone { fill: none; stroke: var(--edge); stroke-dasharray: 3 3; }
.grid { stroke: var(--faint); }
.limit { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 6 3; }
.range { stroke: var(--accent); stroke-width: 2; }
.mark { fill: var(--accent); stroke: var(--ground); }
.mark.over { fill: var(--bad); }
@media print { nav, .skip { display: none; } .scroll { overflow: visible; } }
`;

// Draws both arms of each judged KPI as the looks come in, with uPlot.
const kept = new Map(); // by KPI: [times, former, patched]
const drawn = new Map();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw(figure) {
  const { kpi, unit } = figure.dataset;
  const data = kept.get(kpi);
  if (data[0].length < 2) return;
  if (drawn.has(kpi)) return drawn.get(kpi).setData(data);
  const box = document.createElement("div");
  box.dataset.drawn = "plot";
  figure.append(box); // a figure without one is hidden, and has no width
  box.setAttribute("aria-hidden", "true"); // the table above says the same in words
  const percent = unit === "share" || unit === "ratio"; // the table has percent, too
  const shown = percent ? "%" : unit;
  const axis = { stroke: style("--dim"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "11px system-ui" };
  drawn.set(kpi, new uPlot({
    width: Math.max(240, figure.clientWidth - 26), height: 150, cursor: { y: false },
    legend: { live: false },
    axes: [
      { ...axis, space: 70, values: (_, at) => at.map((t) => new Date(t * 1000).toISOString().slice(11, 19)) },
      { ...axis, size: 58, values: (_, at) => at.map((v) => String(Number(((percent ? 100 : 1) * v).toPrecision(3)))) },
    ],
    scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
    series: [
      {},
      { label: "former " + shown, stroke: style("--former"), width: 2, points: { show: false } },
      { label: "patched " + shown, stroke: style("--patched"), width: 2, points: { show: false } },
    ],
  }, data, box));
}

function take() {
  const arms = document.getElementById("arms");
  if (!arms) return;
  const at = Number(arms.dataset.at);
  for (const figure of arms.querySelectorAll("figure[data-kpi]")) {
    const { kpi, former, patched } = figure.dataset;
    if (!kept.has(kpi)) kept.set(kpi, [[], [], []]);
    const [times, a, b] = kept.get(kpi);
    if (times.at(-1) === at) continue;
    times.push(at);
    a.push(Number(former));
    b.push(Number(patched));
    draw(figure);
  }
}

// A plot has its colours from the moment at which it was drawn.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const plot of drawn.values()) plot.root.parentElement.remove();
  for (const plot of drawn.values()) plot.destroy();
  drawn.clear();
  document.querySelectorAll("#arms figure[data-kpi]").forEach(draw);
});
addEventListener("resize", () => {
  for (const plot of drawn.values()) plot.setSize({ width: Math.max(240, plot.root.closest("figure").clientWidth - 26), height: 150 });
});
document.addEventListener("fresh", take);
addEventListener("load", take);

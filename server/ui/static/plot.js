// Draws both arms of each judged KPI with uPlot: of a rollout as the looks come in, of a
// simulation as it was recorded.
const kept = new Map(); // by figure: [times, former or control, patched or treatment]
const drawn = new Map();

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const keyOf = (figure) => figure.dataset.key ?? figure.dataset.kpi;
const clock = (t) => new Date(t * 1000).toISOString().slice(11, 19);
const since = (t) => (t < 120 ? t + " s" : Number((t / 60).toPrecision(3)) + " min");

function draw(figure) {
  const key = keyOf(figure);
  const { unit, points } = figure.dataset;
  const data = kept.get(key);
  if (data[0].length < 2) return;
  if (drawn.has(key)) return drawn.get(key).setData(data);
  const [former, patched] = (figure.dataset.arms ?? "former patched").split(" ");
  const box = document.createElement("div");
  box.dataset.drawn = "plot";
  figure.append(box); // a figure without one is hidden, and has no width
  box.setAttribute("aria-hidden", "true"); // the table above says the same in words
  const percent = unit === "share" || unit === "ratio"; // the table has percent, too
  const shown = percent ? "%" : unit;
  const axis = { stroke: style("--dim"), grid: { stroke: style("--line"), width: 1 }, ticks: { stroke: style("--line"), width: 1 }, font: "11px system-ui" };
  drawn.set(key, new uPlot({
    width: Math.max(240, figure.clientWidth - 26), height: 150, cursor: { y: false },
    legend: { live: false },
    axes: [
      { ...axis, space: 70, values: (_, at) => at.map(points ? since : clock) },
      { ...axis, size: 58, values: (_, at) => at.map((v) => String(Number(((percent ? 100 : 1) * v).toPrecision(3)))) },
    ],
    scales: { x: { time: !points }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
    series: [
      {},
      { label: former + " " + shown, stroke: style("--former"), width: 2, points: { show: false }, spanGaps: true },
      { label: patched + " " + shown, stroke: style("--patched"), width: 2, points: { show: false }, spanGaps: true },
    ],
  }, data, box));
}

function take() {
  for (const figure of document.querySelectorAll("figure[data-points]")) {
    kept.set(keyOf(figure), JSON.parse(figure.dataset.points));
    draw(figure);
  }
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
  document.querySelectorAll(".plots figure").forEach((figure) => { if (kept.has(keyOf(figure))) draw(figure); });
});
addEventListener("resize", () => {
  for (const plot of drawn.values()) plot.setSize({ width: Math.max(240, plot.root.closest("figure").clientWidth - 26), height: 150 });
});
document.addEventListener("fresh", take);
addEventListener("load", take);

// One line, and the dashed one that it is compared with, from the numbers of the table below.
import { LineChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import { init, use, type ECharts } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([LineChart, GridComponent, TooltipComponent, SVGRenderer]);

interface Point {
  title: string;
  now: number | null;
  before: number | null;
  text: string;
  beforeText: string;
}

const drawn = new WeakMap<Element, ECharts>();

function colour(name: string): string {
  // A custom property with light-dark() in it is resolved only where it is a colour of something.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function number(cell: Element | null, name: string): number | null {
  const text = cell?.getAttribute(name) ?? "";
  return text === "" ? null : Number(text);
}

function sum(one: number | null, other: number | null): number | null {
  return one === null ? other : other === null ? one : one + other;
}

// Oldest first. Rows of one period in several currencies are one point, where what is drawn can be added up.
function points(table: Element, currency: string): Point[] {
  const found = new Map<string, Point>();
  for (const row of [...table.querySelectorAll<HTMLElement>("tbody tr")].reverse()) {
    if (currency !== "" && row.dataset["c"] !== currency) continue;
    const title = row.dataset["t"] ?? "";
    const [cell, beside] = [row.querySelector("[data-v]"), row.querySelector("[data-b]")];
    const before = found.get(title);
    const now = sum(before?.now ?? null, number(cell, "data-v"));
    const earlier = sum(before?.before ?? null, number(beside, "data-b"));
    const several = before !== undefined;
    found.set(title, {
      title, now, before: earlier,
      text: several ? format(now, "count", "") : cell?.textContent ?? "",
      beforeText: several ? format(earlier, "count", "") : beside?.textContent ?? "",
    });
  }
  return [...found.values()];
}

function format(value: number | null, unit: string, currency: string): string {
  if (value === null) return "–";
  const options: Intl.NumberFormatOptions = unit === "money" && /^[A-Z]{3}$/.test(currency)
    ? { style: "currency", currency, notation: "compact", maximumFractionDigits: 1 }
    : unit === "ratio" ? { style: "percent", maximumFractionDigits: 1 } : { notation: "compact" };
  return new Intl.NumberFormat("en", options).format(value);
}

function short(title: string): string {
  const day = /^(\d{4})-(\d{2})-(\d{2})(.*)$/.exec(title);
  if (day === null) return title;
  const date = new Date(Date.UTC(Number(day[1]), Number(day[2]) - 1, Number(day[3])));
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" })}${day[4]}`;
}

export function drawChart(place: HTMLElement): void {
  const table = document.getElementById(place.dataset["table"] ?? "");
  if (table === null || place.clientWidth === 0) return;
  const { unit = "count", currency = "", now = "", before = "" } = place.dataset;
  const all = points(table, currency);
  const compared = before !== "";
  const [ink, quiet, line, accent, panel] = ["--ink", "--quiet", "--line", "--accent", "--panel"].map(colour) as
    [string, string, string, string, string];
  const chart = drawn.get(place) ?? init(place, null, { renderer: "svg" });
  drawn.set(place, chart);
  delete place.dataset["drawn"]; // Says how many points are drawn, from when they are until they change.
  chart.off("finished");
  chart.on("finished", () => { place.dataset["drawn"] = String(all.length); });
  chart.resize();
  chart.setOption({
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 250,
    animationDurationUpdate: 250,
    grid: { left: 8, right: 16, top: 16, bottom: 4, containLabel: true },
    textStyle: { fontFamily: "inherit", color: quiet },
    tooltip: {
      trigger: "axis",
      renderMode: "richText", // The other one writes styles into the page, which its policy forbids.
      confine: true,
      backgroundColor: panel,
      borderColor: line,
      textStyle: { color: ink, fontSize: 13 },
      axisPointer: { lineStyle: { color: quiet } },
      formatter: (shown: unknown) => {
        const point = all[(shown as { dataIndex: number }[])[0]?.dataIndex ?? 0];
        if (point === undefined) return "";
        return [short(point.title), `${point.text}  ${now}`, ...(compared ? [`${point.beforeText}  ${before}`] : [])].join("\n");
      },
    },
    xAxis: {
      type: "category",
      boundaryGap: false,
      data: all.map((one) => short(one.title)),
      axisLine: { lineStyle: { color: line } },
      axisTick: { show: false },
      axisLabel: { color: quiet, hideOverlap: true, padding: [0, 8], margin: 12, alignMaxLabel: "right" },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      splitLine: { lineStyle: { color: line } },
      axisLabel: { color: quiet, formatter: (value: number) => format(value, unit, currency) },
    },
    series: [
      ...(compared ? [{
        id: "before", type: "line" as const, data: all.map((one) => one.before), showSymbol: false, silent: true,
        lineStyle: { color: quiet, width: 1.5, type: "dashed" as const }, itemStyle: { color: quiet },
      }] : []),
      {
        id: "now", type: "line" as const, data: all.map((one) => one.now), showSymbol: all.length < 2, symbolSize: 7,
        lineStyle: { color: accent, width: 2 }, itemStyle: { color: accent }, areaStyle: { color: accent, opacity: 0.08 },
      },
    ],
  }, { notMerge: false, replaceMerge: ["series"] });
}

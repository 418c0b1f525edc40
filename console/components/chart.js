// A chart by ECharts. Colours are names of the style sheet, so that light and dark need no word from the server.
import { echarts } from "nicegui-echart";

const PAUSE_MS = 180; // after the last movement of a zoom, before the finer data is asked for

function significant(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Array.isArray(value)) return significant(value[value.length - 1]);
  if (typeof value !== "number") return String(value);
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

const FORMATS = { significant };

function resolved(value, style) {
  if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map((part) => resolved(part, style));
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, resolved(part, style)]));
  if (typeof value !== "string") return value;
  if (value.startsWith("@")) return FORMATS[value.slice(1)];
  if (!value.startsWith("$")) return value;
  const [name, alpha] = value.slice(1).split("/");
  const colour = style.getPropertyValue(`--${name}`).trim();
  return alpha === undefined ? colour : echarts.color.modifyAlpha(colour, Number(alpha));
}

export default {
  props: { name: String, label: String, height: Number, options: Object },
  render: () => window.Vue.h("div", { class: "chart" }),
  mounted() {
    const box = this.$el;
    box.dataset.chart = this.name;
    box.style.height = `${this.height}px`;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", this.label);
    this.chart = echarts.init(box, null, { renderer: "canvas" });
    box.chart = this.chart; // for whoever looks at the page with a program
    this.chart.on("datazoom", () => this.zoomed());
    this.seen = new ResizeObserver(() => this.chart.resize());
    this.seen.observe(box);
    this.redraw = () => this.draw(true);
    window.addEventListener("edgefleet:theme", this.redraw);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.redraw);
    this.draw(true);
  },
  beforeUnmount() {
    clearTimeout(this.pause);
    this.seen.disconnect();
    window.removeEventListener("edgefleet:theme", this.redraw);
    window.matchMedia("(prefers-color-scheme: dark)").removeEventListener("change", this.redraw);
    this.chart.dispose();
  },
  methods: {
    draw(whole) {
      if (!this.options) {
        const style = getComputedStyle(document.documentElement);
        this.chart.showLoading("default", {
          text: "loading …",
          color: style.getPropertyValue("--accent").trim(),
          textColor: style.getPropertyValue("--dim").trim(),
          maskColor: "transparent",
          lineWidth: 2,
          spinnerRadius: 8,
        });
        return;
      }
      this.chart.hideLoading();
      const options = resolved(this.options, getComputedStyle(document.documentElement));
      const series = this.chart.getOption()?.series?.length;
      const anew = series !== options.series.length;
      this.chart.setOption(options, anew ? { notMerge: true } : { replaceMerge: ["series"] });
      if (anew || whole) this.chart.resize();
      this.$el.dataset.drawn = options.series.length; // for whoever waits for it
    },
    zoomed() {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => {
        const [start, end] = this.chart.getModel().getComponent("xAxis", 0).axis.scale.getExtent();
        this.$emit("act", { act: "zoom", start, end });
      }, PAUSE_MS);
    },
  },
  watch: {
    options() {
      this.draw(false);
    },
    height(now) {
      this.$el.style.height = `${now}px`;
      this.chart.resize();
    },
  },
};

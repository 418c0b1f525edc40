// A table of any length: the browser holds only the rows in sight; two empty rows keep the place of the others.
import { parse, patch } from "/static/patch.js";

const ROW_PX = 40;
const SPARE = 20; // rows fetched beyond what is in sight, above and below

export default {
  props: { head: String, label: String, html: String, offset: Number, total: Number },
  render: () => window.Vue.h("div", { class: "rows" }),
  mounted() {
    const box = this.$el;
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", this.label);
    const table = document.createElement("table");
    const space = () => {
      const body = document.createElement("tbody");
      body.setAttribute("aria-hidden", "true");
      body.append(document.createElement("tr"));
      return body;
    };
    const head = document.createElement("thead");
    head.append(parse(this.head));
    this.parts = { table, above: space(), body: document.createElement("tbody"), below: space() };
    table.append(head, this.parts.above, this.parts.body, this.parts.below);
    box.append(table);
    box.addEventListener("scroll", () => this.ask(), { passive: true });
    new ResizeObserver(() => this.ask()).observe(box);
    this.draw();
  },
  methods: {
    draw() {
      const { table, above, body, below } = this.parts;
      patch(body, parse(this.html));
      const after = this.total - this.offset - body.rows.length;
      above.rows[0].style.height = `${this.offset * ROW_PX}px`;
      below.rows[0].style.height = `${Math.max(after, 0) * ROW_PX}px`;
      above.hidden = this.offset === 0;
      below.hidden = after <= 0;
      table.setAttribute("aria-rowcount", this.total + 1);
      this.ask();
    },
    ask() {
      const first = Math.max(Math.floor(this.$el.scrollTop / ROW_PX) - SPARE, 0);
      const rows = Math.ceil(this.$el.clientHeight / ROW_PX) + 2 * SPARE;
      const key = `${first}/${rows}`;
      const last = Math.min(first + rows, this.total);
      const held = this.offset <= first + SPARE / 2 && this.offset + this.parts.body.rows.length >= last - SPARE / 2;
      if (!held && key !== this.asked) {
        this.asked = key;
        this.$emit("act", { act: "rows", first, rows });
      }
    },
  },
  watch: {
    html: "draw",
    offset: "draw",
    total() {
      this.asked = null;
      this.draw();
    },
  },
};

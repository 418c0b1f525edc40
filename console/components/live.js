// HTML from the server, patched in place; what somebody does in it goes back.
import { parse, patch } from "/static/patch.js";

export default {
  props: { html: String },
  render: () => window.Vue.h("div", { class: "live" }),
  mounted() {
    patch(this.$el, parse(this.html));
    this.$el.addEventListener("click", (event) => {
      const target = event.target.closest("button[data-act]");
      if (target && target.form === null) this.$emit("act", { ...target.dataset });
    });
    this.$el.addEventListener("submit", (event) => {
      const form = event.target;
      if (!form.dataset.act) return; // an ordinary form
      event.preventDefault();
      const fields = Object.fromEntries(new FormData(form, event.submitter));
      this.$emit("act", { ...form.dataset, ...fields });
      form.reset();
      form.closest("details")?.removeAttribute("open");
    });
    const typed = (event) => {
      if (event.target.dataset.act && event.target.form === null) {
        clearTimeout(this.typing);
        const said = { ...event.target.dataset, value: event.target.value };
        this.typing = setTimeout(() => this.$emit("act", said), 120);
      }
    };
    this.$el.addEventListener("input", typed);
  },
  watch: {
    html(now) {
      patch(this.$el, parse(now));
    },
  },
};

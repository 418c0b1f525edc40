// Light, dark, or as the system says; kept in the browser.
const root = document.documentElement;
const show = (theme) => {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
};
show(localStorage.getItem("edgefleet-theme"));
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-theme-switch]")) return;
  const dark = getComputedStyle(root).colorScheme.includes("dark");
  localStorage.setItem("edgefleet-theme", dark ? "light" : "dark");
  show(dark ? "light" : "dark");
  window.dispatchEvent(new Event("edgefleet:theme"));
});

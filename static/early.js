// Runs before the first paint. A file of its own, since the Content-Security-Policy allows no inline
// script.
(function () {
  var root = document.documentElement;
  root.className = "scripted";

  // Sets the theme at once, so that a dark page does not flash white while it loads.
  var theme = /[?&]theme=(dark|light)\b/.exec(location.search);
  try {
    theme = theme ? theme[1] : localStorage.getItem("limpid.theme");
  } catch (error) {
    theme = null; // Some embeddings have no storage.
  }
  if (theme === "dark" || theme === "light") root.setAttribute("data-theme", theme);

  // Browsers without these never run the loader, which would report the failure.
  var modules = "noModule" in document.createElement("script");
  if (typeof WebAssembly !== "object" || !modules) root.className = "scripted failed";
})();

// Runs before the first paint, from a file of its own, since the content-security policy allows
// no script inside the document.
(function () {
  var root = document.documentElement;
  root.className = "scripted";

  // The theme is known at once, so that nobody is dazzled while the rest loads.
  var theme = /[?&]theme=(dark|light)\b/.exec(location.search);
  try {
    theme = theme ? theme[1] : localStorage.getItem("limpid.theme");
  } catch (error) {
    theme = null; // Some embeddings have no storage.
  }
  if (theme === "dark" || theme === "light") root.setAttribute("data-theme", theme);

  // Browsers without these never reach the loader, which would tell otherwise.
  var modules = "noModule" in document.createElement("script");
  if (typeof WebAssembly !== "object" || !modules) root.className = "scripted failed";
})();

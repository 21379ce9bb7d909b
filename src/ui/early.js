// Runs before the first paint, which a module cannot: somebody who chose the dark theme must not be met by a white
// flash while the modules are on their way.
(() => {
  try {
    const theme = localStorage.getItem('tailcast.theme');
    if (theme) document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be denied; the system's theme is used then.
  }
})();

// Draws the figures, and paints their paper and ink as the page's: light or dark, also when it changes.
(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);

  function ink() {
    var style = getComputedStyle(document.documentElement);
    var read = function (name) { return style.getPropertyValue(name).trim(); };
    return { text: read("--ink"), grid: read("--grid"), quiet: read("--quiet") };
  }

  function painted(layout) {
    var colors = ink();
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colors.quiet, activecolor: colors.text };
    layout.font = Object.assign({}, layout.font, { color: colors.text });
    Object.keys(layout).forEach(function (name) {
      if (/^[xy]axis[0-9]*$/.test(name)) {
        layout[name] = Object.assign({}, layout[name], {
          gridcolor: colors.grid, zerolinecolor: colors.grid, linecolor: colors.grid
        });
      }
    });
    return layout;
  }

  var settings = {
    responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]],
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false
  };
  Object.keys(figures).forEach(function (name) {
    var place = document.getElementById(name);
    Plotly.newPlot(place, figures[name].data, painted(figures[name].layout), settings);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    Object.keys(figures).forEach(function (name) {
      var place = document.getElementById(name);
      Plotly.react(place, place.data, painted(place.layout), settings);
    });
  });
})();

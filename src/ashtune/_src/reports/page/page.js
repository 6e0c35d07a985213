// Draws the figures, and paints their paper and ink as the page's: light or dark, also when it changes.
{
  const at = (id) => /** @type {any} */ (document.getElementById(id));
  const figures = JSON.parse(at("figures").textContent);
  const settings = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "resetScale2d"]],
    displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  };

  const paint = (layout) => {
    const style = getComputedStyle(document.documentElement);
    const [ink, grid, quiet] = ["--ink", "--grid", "--quiet"].map((name) => style.getPropertyValue(name).trim());
    layout.modebar = { bgcolor: "transparent", color: quiet, activecolor: ink };
    layout.font = { ...layout.font, color: ink };
    for (const name of Object.keys(layout).filter((each) => /^[xy]axis[0-9]*$/.test(each)))
      layout[name] = { ...layout[name], gridcolor: grid, zerolinecolor: grid, linecolor: grid };
    return layout;
  };

  for (const [name, { data, layout }] of Object.entries(figures))
    Plotly.newPlot(at(name), data, paint(layout), settings);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const name of Object.keys(figures)) Plotly.react(at(name), at(name).data, paint(at(name).layout), settings);
  });
}

// Colours, such as `var(--truth)`, are the page's own, read at every draw: the chart follows light and dark.
const colour = name => getComputedStyle(element).getPropertyValue(name).trim();
const coloured = (_, value) => typeof value === 'string' && /^var\(--[\w-]+\)$/.test(value)
  ? colour(value.slice(4, -1)) : value;
const draw = () => {
  const plot = element.querySelector('.live-chart');
  if (!plot) return;
  const {data, layout} = JSON.parse(JSON.stringify(props.value), coloured);
  const axis = {gridcolor: colour('--border-color-primary'), zeroline: false, fixedrange: true};
  Plotly.react(plot, data, {
    ...layout,
    colorway: [colour('--prediction')],
    font: {color: colour('--body-text-color'), family: colour('--font'), size: 12},
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', showlegend: false,
    xaxis: {...axis, ...layout.xaxis}, yaxis: {...axis, ...layout.yaxis},
  }, {responsive: true, displayModeBar: false});
};
watch('value', draw);
draw();
new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ['class']});
// Gradio may write the template anew after a value has come: what was drawn is gone then.
new MutationObserver(draw).observe(element, {childList: true});
// What was drawn while it was hidden does not know its size.
new ResizeObserver(() => {
  const plot = element.querySelector('.live-chart');
  if (plot?.layout && plot.offsetWidth) Plotly.Plots.resize(plot);
}).observe(element);

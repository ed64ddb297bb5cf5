// The page of the map lives in an iframe; this script, in the page around it, joins the two.
const frame = element.querySelector('iframe');
const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
const join = () => {
  const inner = frame.contentWindow, map = inner?.[props.map_name], pin = inner?.[props.pin_name];
  if (!map || !pin || map.joined) return;
  map.joined = true;
  const body = frame.contentDocument.body;
  const dark = () => body.classList.toggle('dark', document.body.classList.contains('dark'));
  dark();
  new MutationObserver(dark).observe(document.body, {attributes: true, attributeFilter: ['class']});
  const show = () => {
    pin.setLatLng(props.value);
    if (!map.getBounds().contains(props.value)) map.panTo(props.value, {animate: !calm});
  };
  map.on('click', event => {
    const place = event.latlng.wrap(), limit = (v, m) => +Math.max(-m, Math.min(m, v)).toFixed(2);
    props.value = [limit(place.lat, 90), limit(place.lng, 180)];
    show();
    trigger('input');
  });
  const fit = () => {  // the whole world, and no further out
    map.setMinZoom(-9).invalidateSize({pan: false}).fitBounds(props.view, {animate: false});
    map.setMinZoom(map.getZoom());
  };
  new ResizeObserver(fit).observe(frame);
  fit();
  watch('value', show);
  show();
};
frame.addEventListener('load', join);
frame.srcdoc = props.page;  // not part of the template, whose literal would eat folium's backslashes

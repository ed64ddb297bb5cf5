"""A folium map as a two-way Gradio input, with no tile server and no CDN.

Leaflet is served from XStatic-Leaflet; the land is Natural Earth's 1:110m outline (public domain), from
countryinfo. The map is equirectangular, so that equal steps of latitude are equal on the page.
"""

import json
from functools import cache
from pathlib import Path

import folium
import gradio as gr
from branca.element import Element
from countryinfo import CountryInfo
from xstatic.pkg import leaflet

LEAFLET = Path(leaflet.BASE_DIR).as_posix()
gr.set_static_paths([LEAFLET])
PARALLELS = (-60, -30, 0, 30, 60)
TITLE = "World map. Click to choose a place; the latitude and longitude fields do the same."
VIEW = [[-74, -180], [84, 180]]  # south-west, north-east

STYLE = """<style>
  html, body { height: 100%; margin: 0; background: #e3edf4; }
  body .leaflet-container { background: #e3edf4; font: 11px system-ui, sans-serif; cursor: crosshair; }
  .leaflet-bar a.leaflet-disabled { opacity: .45; }
  .leaflet-container:focus-visible { outline: 3px solid #0f766e; outline-offset: -3px; }
  .land { fill: #b9d1b4; stroke: #94b38e; } .parallel { stroke: #64748b; stroke-opacity: .35; }
  .parallel-label { color: #475569; white-space: nowrap; }
  .dark, body.dark .leaflet-container { background: #101c2b; } .dark .land { fill: #3b5647; stroke: #587a66; }
  .dark .parallel { stroke: #94a3b8; } .dark .parallel-label { color: #a9b6c6; }
  .dark .leaflet-bar a, .dark .leaflet-bar a.leaflet-disabled {
    background: #1e293b; color: #e2e8f0; border-color: #334155;
  }
</style>"""

# The page of the map lives in an iframe; this script, in the page around it, joins the two.
JS = """
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
"""


class OfflineMap(folium.Map):
    """A folium map that asks the app itself for Leaflet, by a path that survives another root."""

    default_js = [("leaflet", f"gradio_api/file={LEAFLET}/leaflet.js")]
    default_css = [("leaflet_css", f"gradio_api/file={LEAFLET}/leaflet.css")]


def land() -> dict:
    """The outlines of all countries as one GeoJSON geometry, to 0.01 degree (about 1 km)."""
    outlines = []
    for country in CountryInfo.all().values():
        for feature in country.get("geoJSON", {}).get("features", []):
            geometry = feature["geometry"]
            parts = geometry["coordinates"]
            outlines += parts if geometry["type"] == "MultiPolygon" else [parts]
    rounded = json.loads(json.dumps(outlines), parse_float=lambda number: round(float(number), 2))
    return {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": rounded}}


def degrees(latitude: float) -> str:
    return f"{abs(latitude)}°{'N' if latitude > 0 else 'S' if latitude < 0 else ''}"


@cache
def page() -> tuple[str, str, str]:
    """The map's HTML and the names its script gives to the map and the pin. Built once."""
    world = OfflineMap(
        location=[5, 0],
        zoom_start=0,
        zoom_control="topright",
        max_zoom=6,
        tiles=None,
        crs="EPSG4326",
        zoom_snap=0,
        max_bounds=True,
        attribution_control=False,
    )
    folium.GeoJson(
        land(),
        smooth_factor=0.3,
        style_function=lambda _: {"className": "land", "weight": 0.6, "fillOpacity": 1, "interactive": False},
    ).add_to(world)
    for latitude in PARALLELS:
        weight = 1 if latitude else 1.8
        line = folium.PolyLine([(latitude, -180), (latitude, 180)], weight=weight, interactive=False)
        line.options["className"] = "parallel"
        line.add_to(world)
        label = folium.DivIcon(degrees(latitude), icon_size=(30, 14), icon_anchor=(-4, 14))
        label.options["className"] = "parallel-label"
        folium.Marker((latitude, -180), icon=label, interactive=False, keyboard=False).add_to(world)
    pin = folium.CircleMarker(
        (0, 0), radius=7, color="#ffffff", weight=2, fill=True, fill_color="#be123c", fill_opacity=1
    ).add_to(world)
    root = world.get_root()
    root.title = "World map"
    root.header.add_child(Element(STYLE))
    return root.render(), world.get_name(), pin.get_name()


def locality_map(value: tuple[float, float], height: int, **options) -> gr.HTML:
    """A map whose value is `[latitude, longitude]`: a click fires `.input`, Python and JavaScript may set it.

    Args:
        value: where the pin stands at first.
        height: in pixels.
        options: further arguments of `gr.HTML`.
    """
    html, map_name, pin_name = page()
    return gr.HTML(
        list(value),
        html_template=f'<iframe title="{TITLE}" style="height:{height}px"></iframe>',
        js_on_load=JS,
        apply_default_css=False,
        page=html,
        map_name=map_name,
        pin_name=pin_name,
        view=VIEW,
        **options,
    )
